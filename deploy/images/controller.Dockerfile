# docker build -f deploy/images/controller.Dockerfile -t light-k8s-gateway/controller:dev .
FROM denoland/deno:2.9.6 AS build
ENV DENO_DIR=/deno-dir
WORKDIR /app
COPY deno.json deno.lock ./
COPY shared shared
COPY proxy proxy
COPY controller controller
RUN deno cache --frozen controller/main.ts controller/run_cluster.ts

FROM denoland/deno:distroless-2.9.6
COPY --from=build /deno-dir /deno-dir
COPY --from=build /app /app
ENV DENO_DIR=/deno-dir DENO_NO_UPDATE_CHECK=1
WORKDIR /app
USER 65532:65532
ENTRYPOINT ["/bin/deno", "run", "--cached-only", "--no-prompt", "--quiet", "--allow-net", "--allow-write=/var/lib/light-k8s-gateway", "--allow-read=/etc/light-k8s-gateway,/var/lib/light-k8s-gateway,/var/run/secrets/kubernetes.io", "--allow-env=POD_NAME,POD_NAMESPACE,KUBERNETES_SERVICE_HOST,KUBERNETES_SERVICE_PORT", "/app/controller/main.ts", "--bootstrap", "/etc/light-k8s-gateway/config.json"]

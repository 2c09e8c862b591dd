# docker build -f deploy/images/proxy.Dockerfile -t light-k8s-gateway/proxy:dev .
FROM denoland/deno:2.9.6 AS build
ENV DENO_DIR=/deno-dir
WORKDIR /app
COPY deno.json deno.lock ./
COPY shared shared
COPY proxy proxy
COPY controller controller
RUN deno cache --frozen proxy/main.ts shared/dataplane/workers/worker.ts

FROM denoland/deno:distroless-2.9.6
COPY --from=build /deno-dir /deno-dir
COPY --from=build /app /app
ENV DENO_DIR=/deno-dir DENO_NO_UPDATE_CHECK=1
WORKDIR /app
USER 65532:65532
ENTRYPOINT ["/bin/deno", "run", "--cached-only", "--no-prompt", "--quiet", "--allow-net", "--allow-write=/var/lib/light-k8s-gateway", "--allow-read=/etc/light-k8s-gateway,/var/lib/light-k8s-gateway,/app/shared", "--allow-env=POD_NAME,POD_IP", "/app/proxy/main.ts", "--bootstrap", "/etc/light-k8s-gateway/config.json"]

/**
 * The part of `@kubernetes/client-node` that is used. Its own types bring a browser's globals along,
 * which then stand beside the runtime's in every file.
 */
export class KubeConfig {
  /** The ServiceAccount of this pod. */
  loadFromCluster(): void;
  loadFromFile(path: string): void;
  getCurrentCluster(): { server: string } | null;
  /** Fills in headers, CA and client certificate of the current user; runs its exec plugin. */
  applyToHTTPSOptions(options: object): Promise<void>;
}

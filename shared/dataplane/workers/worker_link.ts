/** One worker, as the main isolate sees it: commands, questions with answers, and its end. */
import type { Command, FromWorker, Question, ToWorker, WorkerState } from "./protocol.ts";

/** The worker ended or fell silent: nothing is known of what it was asked. */
export class WorkerGoneError extends Error {
  override readonly name = "WorkerGoneError";
}

/** The worker could not do what it was asked. */
export class WorkerRefusalError extends Error {
  override readonly name = "WorkerRefusalError";
}

export interface WorkerLinkOptions {
  name: string;
  /** Milliseconds for an answer; a worker that takes longer is ended. */
  answerTimeout: number;
  onState(state: WorkerState): void;
  /** Writes lines of the access log. */
  onAccessLog(bytes: Uint8Array): Promise<void>;
  /** It is gone without having been asked to end. Called once. */
  onGone(reason: string): void;
}

interface Pending {
  resolve(value: unknown): void;
  reject(error: Error): void;
  timer: ReturnType<typeof setTimeout>;
}

export class WorkerLink {
  readonly #options: WorkerLinkOptions;
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #next = 0;
  #gone = false;
  #reason = "it was ended";

  constructor(options: WorkerLinkOptions) {
    this.#options = options;
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), {
      type: "module",
      name: options.name,
    });
    this.#worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.#take(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.fail(event.message);
    };
    this.#worker.onmessageerror = () => this.fail("a message could not be read");
  }

  /** Tells it to do something. A worker that is gone hears nothing. */
  tell(command: Command): void {
    this.#send(command);
  }

  /**
   * Asks for something and resolves with the answer.
   *
   * @throws {WorkerRefusalError} with what the worker says
   * @throws {WorkerGoneError} when it ended or did not answer in time
   */
  ask(question: Question): Promise<unknown> {
    if (this.#gone) return Promise.reject(this.#goneError());
    const id = this.#next++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const timer = setTimeout(
      () => this.fail(`no answer to "${question.kind}" in time`),
      this.#options.answerTimeout,
    );
    this.#pending.set(id, { resolve, reject, timer });
    this.#send({ kind: "ask", id, question });
    return promise;
  }

  /** Ends it at once. */
  terminate(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#worker.terminate();
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject(this.#goneError());
    }
    this.#pending.clear();
  }

  #send(message: ToWorker): void {
    if (!this.#gone) this.#worker.postMessage(message);
  }

  #take(message: FromWorker): void {
    switch (message.kind) {
      case "answer":
        return this.#settle(message.id)?.resolve(message.value);
      case "failure":
        return this.#settle(message.id)?.reject(new WorkerRefusalError(message.message));
      case "state":
        return this.#options.onState(message.state);
      case "accessLog":
        this.#options.onAccessLog(message.bytes).then(
          () => this.tell({ kind: "logWritten", ok: true }),
          () => this.tell({ kind: "logWritten", ok: false }),
        );
        return;
      default:
        return message satisfies never;
    }
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    clearTimeout(pending?.timer);
    return pending;
  }

  /** Ends it as one that failed: whoever holds the link is told. */
  fail(reason: string): void {
    if (this.#gone) return;
    this.#reason = reason;
    this.terminate();
    this.#options.onGone(reason);
  }

  #goneError(): WorkerGoneError {
    return new WorkerGoneError(`${this.#options.name} is gone: ${this.#reason}`);
  }
}

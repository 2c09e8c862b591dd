/** Shell completion, generated from the commands themselves so that it cannot fall behind. */
import type { Command, Option } from "commander";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

interface Completable {
  name: string;
  description: string;
  /** Words of the first argument, when they are known. */
  words: readonly string[];
  options: readonly Option[];
}

/** The script for a shell: what its rc file sources. */
export function completionScript(root: Command, shell: Shell): string {
  const commands = root.commands.map(completable);
  switch (shell) {
    case "bash":
      return bash(root.name(), commands);
    case "zsh":
      // zsh runs bash's completion functions.
      return `autoload -U +X bashcompinit && bashcompinit\n${bash(root.name(), commands)}`;
    case "fish":
      return fish(root.name(), commands);
  }
}

function completable(command: Command): Completable {
  return {
    name: command.name(),
    description: command.description(),
    words: command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []),
    options: command.options,
  };
}

function flags({ options }: Completable): string[] {
  return [
    ...options.flatMap(({ short, long }) => [short, long].filter((flag) => flag !== undefined)),
    "--help",
  ];
}

function bash(name: string, commands: readonly Completable[]): string {
  const values = commands.flatMap((command) =>
    command.options.flatMap(({ short, long, argChoices, required }) => {
      if (!required) return [];
      const pattern = [short, long].filter((flag) => flag !== undefined)
        .map((flag) => `${command.name}:${flag}`).join("|");
      // Without choices the value is a file or free text: the shell's own completion is best.
      const answer = argChoices === undefined
        ? 'COMPREPLY=($(compgen -f -- "$word"))'
        : `COMPREPLY=($(compgen -W "${argChoices.join(" ")}" -- "$word"))`;
      return [`    ${pattern}) ${answer}; return ;;`];
    })
  );
  const words = commands.map((command) =>
    `    ${command.name}) COMPREPLY=($(compgen -W "${
      [...command.words, ...flags(command)].join(" ")
    }" -- "$word")) ;;`
  );
  return [
    `_${name}() {`,
    '  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"',
    '  local command="${COMP_WORDS[1]}"',
    '  if [ "$COMP_CWORD" -eq 1 ]; then',
    `    COMPREPLY=($(compgen -W "${
      [...commands.map((command) => command.name), "--help"].join(" ")
    }" -- "$word"))`,
    "    return",
    "  fi",
    '  case "$command:$before" in',
    ...values,
    "  esac",
    '  case "$command" in',
    ...words,
    "  esac",
    "}",
    `complete -F _${name} ${name}`,
  ].join("\n");
}

function fish(name: string, commands: readonly Completable[]): string {
  const lines = [`complete -c ${name} -f`];
  for (const command of commands) {
    lines.push(
      `complete -c ${name} -n __fish_use_subcommand -a ${command.name} -d ${
        quote(command.description)
      }`,
    );
    const inside = `complete -c ${name} -n ${quote(`__fish_seen_subcommand_from ${command.name}`)}`;
    if (command.words.length > 0) lines.push(`${inside} -a ${quote(command.words.join(" "))}`);
    for (const { short, long, description, argChoices, required } of command.options) {
      const parts = [inside];
      if (short !== undefined) parts.push(`-s ${short.slice(1)}`);
      if (long !== undefined) parts.push(`-l ${long.slice(2)}`);
      parts.push(`-d ${quote(description)}`);
      if (argChoices !== undefined) parts.push(`-x -a ${quote(argChoices.join(" "))}`);
      else if (required) parts.push("-r -F");
      lines.push(parts.join(" "));
    }
  }
  return lines.join("\n");
}

/** A word of fish, whatever it holds. */
function quote(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

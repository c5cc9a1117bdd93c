#include "datastore/offline/completion.h"

namespace holdfast::offline {

std::string_view bash_completion() {
  return R"bash(# Completes holdfast's flags and subcommands, which it reads from the program's own help.
_holdfast() {
  local word=${COMP_WORDS[COMP_CWORD]} index=1 path=() help
  while [ "$index" -lt "$COMP_CWORD" ] && [[ ${COMP_WORDS[index]} != -* ]]; do
    path+=("${COMP_WORDS[index]}")
    index=$((index + 1))
  done
  help=$("${COMP_WORDS[0]}" "${path[@]}" --help 2> /dev/null)
  if [ ${#path[@]} -eq 0 ]; then
    help=$(sed -n 's/^  \(--[a-z0-9-]*\).*/\1/p; s/^  holdfast \([a-z]*\) .*/\1/p' <<< "$help")
  else
    help=$(grep -o -- '--[a-z-]*' <<< "$help"; sed -n '/^Subcommands:/,$ s/^  \([a-z]*\) .*/\1/p' <<< "$help")
  fi
  mapfile -t COMPREPLY < <(compgen -W "$help" -- "$word" | sort -u)
  [ ${#COMPREPLY[@]} -gt 0 ] || mapfile -t COMPREPLY < <(compgen -f -- "$word")
}
complete -o filenames -F _holdfast holdfast
)bash";
}

}  // namespace holdfast::offline

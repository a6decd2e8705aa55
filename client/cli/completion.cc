#include "client/cli/completion.h"

#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"

namespace actioncluster::cli {
namespace {

using Value = CompletionOption::Value;

Value ValueOf(const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) return Value::kNone;
  if (option.get_option_text() == "FILE") return Value::kFile;
  return option.get_option_text() == "DIR" ? Value::kDirectory : Value::kText;
}

void AddPlaces(const CLI::App& app, const std::string& path, std::vector<CompletionPlace>* places) {
  CompletionPlace place = {.path = path, .subcommands = {}, .options = {}};
  for (const CLI::Option* option : app.get_options()) {
    if (option->nonpositional()) {
      place.options.push_back({"--" + option->get_lnames().front(),
                               absl::StrReplaceAll(option->get_description(), {{"\n", " "}}), ValueOf(*option)});
    }
  }
  const std::vector<const CLI::App*> below = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* each : below) place.subcommands.emplace_back(each->get_name(), each->get_description());
  places->push_back(std::move(place));
  for (const CLI::App* each : below) {
    AddPlaces(*each, absl::StrCat(path, path.empty() ? "" : " ", each->get_name()), places);
  }
}

// The options that take a value of this kind, at any place: `--address|--node`. Empty if there are none.
std::string OptionsWith(const std::vector<CompletionPlace>& places, const std::set<Value>& values) {
  std::set<std::string> names;
  for (const CompletionPlace& place : places) {
    for (const CompletionOption& option : place.options) {
      if (values.contains(option.value)) names.insert(option.name);
    }
  }
  return absl::StrJoin(names, "|");
}

// `pattern) action ;;`, if there is a pattern.
std::string Case(const std::string& pattern, absl::string_view action) {
  return pattern.empty() ? "" : absl::StrCat("    ", pattern, ") ", action, " ;;\n");
}

// In single quotes, for bash and zsh.
std::string Quote(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

std::string QuoteForFish(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"'", "\\'"}}), "'");
}

// The lines that follow a word into a subcommand, the same in bash and zsh.
std::string Descents(const std::vector<CompletionPlace>& places) {
  std::string text;
  for (const CompletionPlace& place : places) {
    for (const auto& [name, meaning] : place.subcommands) {
      const std::string below = absl::StrCat(place.path, place.path.empty() ? "" : " ", name);
      absl::StrAppend(&text, "      ", Quote(absl::StrCat(place.path, "/", name)), ") place=", Quote(below), " ;;\n");
    }
  }
  return text;
}

}  // namespace

std::vector<CompletionPlace> CompletionPlaces(const CLI::App& root) {
  std::vector<CompletionPlace> places;
  AddPlaces(root, "", &places);
  return places;
}

std::string BashCompletion(const CLI::App& root) {
  const std::vector<CompletionPlace> places = CompletionPlaces(root);
  std::string words;
  for (const CompletionPlace& place : places) {
    std::vector<std::string> all;
    all.reserve(place.subcommands.size() + place.options.size());
    for (const auto& [name, meaning] : place.subcommands) all.push_back(name);
    for (const CompletionOption& option : place.options) all.push_back(option.name);
    absl::StrAppend(&words, "    ", Quote(place.path), ") words=", Quote(absl::StrJoin(all, " ")), " ;;\n");
  }
  // Bash breaks words at `=` too.
  return absl::StrCat(
      "# bash completion for actioncluster:  source <(actioncluster completion bash)\n"
      "_actioncluster() {\n"
      "  local current=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"${COMP_WORDS[COMP_CWORD-1]}\" place='' words='' i\n"
      "  if [[ $current == = ]]; then\n"
      "    current=''\n"
      "  elif [[ $previous == = ]]; then\n"
      "    previous=\"${COMP_WORDS[COMP_CWORD-2]}\"\n"
      "  fi\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    case \"${COMP_WORDS[i]}\" in\n"
      "      ",
      OptionsWith(places, {Value::kText, Value::kFile, Value::kDirectory}),
      ")\n"
      "        [[ ${COMP_WORDS[i+1]} == = ]] && ((i += 1))\n"
      "        ((i += 1))\n"
      "        continue ;;\n"
      "    esac\n"
      "    case \"$place/${COMP_WORDS[i]}\" in\n",
      Descents(places),
      "    esac\n"
      "  done\n"
      "  COMPREPLY=()\n"
      "  case \"$previous\" in\n",
      Case(OptionsWith(places, {Value::kFile}),
           "compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- \"$current\"); return"),
      Case(OptionsWith(places, {Value::kDirectory}),
           "compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- \"$current\"); return"),
      Case(OptionsWith(places, {Value::kText}), "return"),
      "  esac\n"
      "  case \"$place\" in\n",
      words,
      "  esac\n"
      "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
      "}\n"
      "complete -F _actioncluster actioncluster\n");
}

std::string ZshCompletion(const CLI::App& root) {
  const std::vector<CompletionPlace> places = CompletionPlaces(root);
  std::string offers;
  for (const CompletionPlace& place : places) {
    std::vector<std::string> all;
    all.reserve(place.subcommands.size() + place.options.size());
    // _describe takes a colon for the end of the name.
    for (const auto& [name, meaning] : place.subcommands) all.push_back(Quote(absl::StrCat(name, ":", meaning)));
    for (const CompletionOption& option : place.options) {
      all.push_back(Quote(absl::StrCat(option.name, ":", option.meaning)));
    }
    absl::StrAppend(&offers, "    ", Quote(place.path), ") offers=(", absl::StrJoin(all, " "), ") ;;\n");
  }
  return absl::StrCat(
      "#compdef actioncluster\n"
      "# zsh completion for actioncluster:  source <(actioncluster completion zsh), or as _actioncluster in a folder "
      "of fpath\n"
      "_actioncluster() {\n"
      "  local place='' i\n"
      "  local -a offers\n"
      "  for ((i = 2; i < CURRENT; i++)); do\n"
      "    case \"${words[i]}\" in\n"
      "      ",
      OptionsWith(places, {Value::kText, Value::kFile, Value::kDirectory}),
      ") ((i += 1)); continue ;;\n"
      "    esac\n"
      "    case \"$place/${words[i]}\" in\n",
      Descents(places),
      "    esac\n"
      "  done\n"
      "  case \"${words[CURRENT-1]}\" in\n",
      Case(OptionsWith(places, {Value::kFile}), "_files; return"),
      Case(OptionsWith(places, {Value::kDirectory}), "_files -/; return"),
      Case(OptionsWith(places, {Value::kText}), "return"),
      "  esac\n"
      "  case \"$place\" in\n",
      offers,
      "  esac\n"
      "  _describe actioncluster offers\n"
      "}\n"
      "if [[ \"${funcstack[1]}\" == _actioncluster ]]; then\n"
      "  _actioncluster \"$@\"\n"
      "else\n"
      "  compdef _actioncluster actioncluster\n"
      "fi\n");
}

std::string FishCompletion(const CLI::App& root) {
  const std::vector<CompletionPlace> places = CompletionPlaces(root);
  const std::string valued = OptionsWith(places, {Value::kText, Value::kFile, Value::kDirectory});
  std::string descents;
  std::string offers;
  for (const CompletionPlace& place : places) {
    const std::string line = absl::StrCat("complete -c actioncluster -n ",
                                          QuoteForFish(absl::StrCat("__actioncluster_at \"", place.path, "\"")));
    for (const auto& [name, meaning] : place.subcommands) {
      const std::string below = absl::StrCat(place.path, place.path.empty() ? "" : " ", name);
      absl::StrAppend(&descents, "      case ", QuoteForFish(absl::StrCat(place.path, "/", name)),
                      "\n        set place ", QuoteForFish(below), "\n");
      absl::StrAppend(&offers, line, " -a ", name, " -d ", QuoteForFish(meaning), "\n");
    }
    static const auto* const kValueFlags =
        new std::map<Value, std::string>{{Value::kNone, ""},
                                         {Value::kText, " -x"},
                                         {Value::kFile, " -r -F"},
                                         {Value::kDirectory, " -x -a '(__fish_complete_directories)'"}};
    for (const CompletionOption& option : place.options) {
      absl::StrAppend(&offers, line, " -l ", option.name.substr(2), kValueFlags->at(option.value), " -d ",
                      QuoteForFish(option.meaning), "\n");
    }
  }
  return absl::StrCat(
      "# fish completion for actioncluster:  actioncluster completion fish | source\n"
      "function __actioncluster_at\n"
      "  set -l place ''\n"
      "  set -l skip ''\n"
      "  for word in (commandline -opc)[2..-1]\n"
      "    if test -n \"$skip\"\n"
      "      set skip ''\n"
      "      continue\n"
      "    end\n"
      "    switch \"$word\"\n"
      "      case ",
      absl::StrReplaceAll(valued, {{"|", " "}}),
      "\n"
      "        set skip 1\n"
      "        continue\n"
      "    end\n"
      "    switch \"$place/$word\"\n",
      descents,
      "    end\n"
      "  end\n"
      "  test \"$place\" = \"$argv[1]\"\n"
      "end\n"
      "complete -c actioncluster -f\n",
      offers);
}

}  // namespace actioncluster::cli

#ifndef ACTIONCLUSTER_CLIENT_CLI_COMPLETION_H_
#define ACTIONCLUSTER_CLIENT_CLI_COMPLETION_H_

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

// Shell completion, made from the tree of subcommands itself, so that it knows neither less nor more. Pure functions; any thread.
namespace actioncluster::cli {

// An option as shells see it.
struct CompletionOption {
  enum class Value { kNone, kText, kFile, kDirectory };
  std::string name;  // `--json`
  std::string meaning;
  Value value = Value::kNone;
};

// One place in the tree.
struct CompletionPlace {
  std::string path;                                              // `rpc call`; empty: the program itself.
  std::vector<std::pair<std::string, std::string>> subcommands;  // Name and meaning.
  std::vector<CompletionOption> options;
};

// All places, parents first.
std::vector<CompletionPlace> CompletionPlaces(const CLI::App& root);

// Scripts that the shell is to read. None needs anything else to be installed.
std::string BashCompletion(const CLI::App& root);
std::string ZshCompletion(const CLI::App& root);
std::string FishCompletion(const CLI::App& root);

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_COMPLETION_H_

#ifndef ACTIONCLUSTER_CLIENT_CLI_CLI_H_
#define ACTIONCLUSTER_CLIENT_CLI_CLI_H_

#include <string>
#include <vector>

// The command line of a cluster's users: every subcommand of the program but those that run nodes.
namespace actioncluster::cli {

// A subcommand that the program runs itself. Here it is only known: to the list of all, and to shell completion.
struct ForeignCommand {
  struct Option {
    std::string name;     // `data-dir`
    std::string metavar;  // `DIR`; `FILE` and `DIR` are completed. Empty: it takes no value.
    std::string meaning;
  };
  std::string name;
  std::string meaning;
  std::vector<Option> options;
};

// Runs the subcommand that `args` (without the program's name) ask for, with the environment, standard input and outputs of this process, and gives the exit
// status: see exit_code.h. Call it once, from main's thread, with no other thread running and SIGPIPE ignored.
int RunCli(const std::vector<std::string>& args, const std::vector<ForeignCommand>& foreign);

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_CLI_H_

#include "client/cli/command.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace actioncluster::cli {
namespace {

// CLI11's own, without what it says of options beside their names.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option_opts(const CLI::Option* option) const override {
    if (!option->get_option_text().empty()) return " " + option->get_option_text();
    return option->get_items_expected_max() > 1 ? "..." : "";
  }
};

}  // namespace

CommandTree::CommandTree() : root_("A cluster service: its nodes, and the ways to use them.", "actioncluster") {
  root_.formatter(std::make_shared<HelpFormatter>());
  root_.require_subcommand(1);
  AddCommonOptions(&root_);
}

CLI::App* CommandTree::AddGroup(const std::string& name, const std::string& meaning, const std::string& heading) {
  CLI::App* const app = root_.add_subcommand(name, meaning);
  app->group(heading);
  app->require_subcommand(1);
  return app;
}

CLI::App* CommandTree::AddCommand(CLI::App* parent, const CommandSpec& spec, Action action) {
  CLI::App* const app = AddPlainCommand(parent, spec, std::move(action));
  AddCommonOptions(app);
  return app;
}

CLI::App* CommandTree::AddPlainCommand(CLI::App* parent, const CommandSpec& spec, Action action) {
  CLI::App* const app = parent->add_subcommand(spec.name, spec.meaning);
  app->footer(absl::StrCat(spec.details, spec.details.empty() ? "" : "\n", "Example:\n  ", spec.example));
  actions_[app] = std::move(action);
  return app;
}

std::string CommandTree::Help() const { return absl::StrReplaceAll(root_.help(), {{"\n\n\n", "\n\n"}}); }

const Action* CommandTree::Chosen() const {
  const CLI::App* app = &root_;
  while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
  const auto found = actions_.find(app);
  return found == actions_.end() ? nullptr : &found->second;
}

void CommandTree::AddCommonOptions(CLI::App* app) {
  constexpr char kGroup[] = "Common options";
  app->add_option("--address", options_.address,
                  "Where nodes listen, comma-separated. Else ACTIONCLUSTER_ADDRESS, else what the data\n"
                  "directory says, else 127.0.0.1:7400")
      ->option_text("HOST:PORT")
      ->group(kGroup);
  app->add_option("--data-dir", options_.data_dir,
                  "The data directory of a cluster on this machine. Else ACTIONCLUSTER_DATA_DIR, else the\n"
                  "default of actioncluster start")
      ->option_text("DIR")
      ->group(kGroup);
  app->add_option("--api-token-file", options_.api_token_file,
                  "The token that nodes want to see, in a file for you alone to read. Else\n"
                  "ACTIONCLUSTER_API_TOKEN_FILE")
      ->option_text("FILE")
      ->group(kGroup);
  app->add_option("--timeout", options_.timeout,
                  "How long to wait, with its unit: 250ms, 5s (the default), 1m. To look up a host by its name\n"
                  "may take longer")
      ->option_text("TIME")
      ->group(kGroup);
  app->add_flag("--json", options_.json, "Results, errors and events as JSON, one object a line")->group(kGroup);
}

}  // namespace actioncluster::cli

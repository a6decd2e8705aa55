#ifndef ACTIONCLUSTER_CLIENT_CLI_TASK_SESSION_H_
#define ACTIONCLUSTER_CLIENT_CLI_TASK_SESSION_H_

#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "actioncluster/tasks.h"
#include "client/cli/command.h"
#include "client/cli/console.h"

// What the subcommands of tasks have in common. For the main thread.
namespace actioncluster::cli {

// Runs `use` with a client's tasks, and with how long may be waited.
inline absl::Status WithTasks(const Session& session,
                              absl::FunctionRef<absl::Status(client::Tasks& tasks, absl::Duration limit)> use) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  client::Tasks tasks(**client);
  return use(tasks, (*client)->options().timeout);
}

// Makes one call, and prints what it gives: as JSON, or for people as `describe` says.
template <class Request, class Response>
absl::Status CallAndShow(const Session& session, const Request& request,
                         absl::StatusOr<Response> (client::Tasks::*call)(const Request&),
                         std::string (*describe)(const Response&)) {
  return WithTasks(session, [&](client::Tasks& tasks, absl::Duration) -> absl::Status {
    const absl::StatusOr<Response> response = (tasks.*call)(request);
    if (!response.ok()) return response.status();
    const std::string text = session.console.json() ? ToJsonLine(*response) : describe(*response);
    session.console.Write(absl::EndsWith(text, "\n") ? text : absl::StrCat(text, "\n"));
    return absl::OkStatus();
  });
}

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_TASK_SESSION_H_

#ifndef ACTIONCLUSTER_CLIENT_CLI_CACHE_SESSION_H_
#define ACTIONCLUSTER_CLIENT_CLI_CACHE_SESSION_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "actioncluster/cache.h"
#include "client/cli/command.h"
#include "client/cli/console.h"

// What the subcommands of the cache have in common. For the main thread.
namespace actioncluster::cli {

// Runs `use` with a client's cache.
inline absl::Status WithCache(const Session& session, absl::FunctionRef<absl::Status(client::Cache& cache)> use) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  client::Cache cache(**client);
  return use(cache);
}

// Makes one call, and prints what it gives: as JSON, or for people as `describe` says, in a line.
template <class Request, class Response>
absl::Status CallAndShow(const Session& session, const Request& request,
                         absl::StatusOr<Response> (client::Cache::*call)(const Request&),
                         std::string (*describe)(const Response&)) {
  return WithCache(session, [&](client::Cache& cache) -> absl::Status {
    const absl::StatusOr<Response> response = (cache.*call)(request);
    if (!response.ok()) return response.status();
    session.console.WriteLine(session.console.json() ? ToJsonLine(*response) : describe(*response));
    return absl::OkStatus();
  });
}

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_CACHE_SESSION_H_

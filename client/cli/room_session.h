#ifndef ACTIONCLUSTER_CLIENT_CLI_ROOM_SESSION_H_
#define ACTIONCLUSTER_CLIENT_CLI_ROOM_SESSION_H_

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "actioncluster/rooms.h"
#include "client/cli/command.h"
#include "client/cli/console.h"
#include "google/protobuf/repeated_field.h"

// What the subcommands of connections and rooms have in common. For the main thread.
namespace actioncluster::cli {

// A result: as JSON, or for people, with a line's end.
template <class Response, class Describe>
absl::Status Show(Console& console, const absl::StatusOr<Response>& response, const Describe& describe) {
  if (!response.ok()) return response.status();
  const std::string text = console.json() ? ToJsonLine(*response) : std::string(describe(*response));
  console.Write(absl::EndsWith(text, "\n") ? text : absl::StrCat(text, "\n"));
  return absl::OkStatus();
}

// Makes one call of a client::Rooms or client::Connections, and shows what it gives.
template <class Service, class Request, class Response, class Describe>
absl::Status AskAndShow(const Session& session, const Request& request,
                        absl::StatusOr<Response> (Service::*call)(const Request&), const Describe& describe) {
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  Service service(**client);
  return Show(session.console, (service.*call)(request), describe);
}

// Makes one call for each page, until there are `limit` of its `items`, or no more, and shows them as one answer.
template <class Service, class Request, class Response, class Item, class Describe>
absl::Status ListAndShow(const Session& session, Request request, uint32_t limit,
                         absl::StatusOr<Response> (Service::*list)(const Request&),
                         google::protobuf::RepeatedPtrField<Item>* (Response::*items)(), const Describe& describe) {
  constexpr uint32_t kMaxPage = 1'000;
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  Service service(**client);
  google::protobuf::RepeatedPtrField<Item> found;
  std::set<std::string> missing;  // Nodes, of whichever page.
  absl::StatusOr<Response> page;
  do {
    request.set_page_size(static_cast<int32_t>(std::min(limit - static_cast<uint32_t>(found.size()), kMaxPage)));
    page = (service.*list)(request);
    if (!page.ok()) return page.status();
    found.MergeFrom(*((*page).*items)());
    if constexpr (requires { page->missing_nodes(); }) {
      missing.insert(page->missing_nodes().begin(), page->missing_nodes().end());
    }
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty() && static_cast<uint32_t>(found.size()) < limit);
  ((*page).*items)()->Swap(&found);
  if constexpr (requires { page->missing_nodes(); }) {
    page->mutable_missing_nodes()->Assign(missing.begin(), missing.end());
  }
  if (!session.console.json() && !page->next_page_token().empty()) {
    session.console.Say("actioncluster: there are more; see --limit");
  }
  return Show(session.console, page, describe);
}

// --limit N.
void AddLimitTo(CLI::App* app, uint32_t* limit);

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_ROOM_SESSION_H_

#include "server/services/connection_listing.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/content.h"
#include "backplane/domain/error.h"

namespace actioncluster {
namespace {

constexpr absl::Duration kNodeTime = absl::Seconds(2);
// What still fits into the 4 MiB that gRPC's clients take by default, with names of nodes beside it.
constexpr size_t kMaxPageBytes = size_t{3584} * 1024;

}  // namespace

absl::StatusOr<ConnectionPlace> ConnectionPlace::Parse(absl::string_view page_token) {
  ConnectionPlace place;
  if (page_token.empty()) return place;
  std::string text;
  const bool decoded = absl::WebSafeBase64Unescape(page_token, &text);
  const size_t end = text.find('\n');
  if (!decoded || end == std::string::npos || end == 0) {
    return absl::InvalidArgumentError("page_token must be the next_page_token of a page before, or empty");
  }
  place.node_id = text.substr(0, end);
  place.node_token = text.substr(end + 1);
  return place;
}

std::string ConnectionPlace::ToToken() const {
  return absl::WebSafeBase64Escape(absl::StrCat(node_id, "\n", node_token));
}

void ConnectionListing::Start(Loop& loop, Membership& membership, Rpc& rpc, UnaryCall* call,
                              const v1::ConnectionServiceListRequest& request, ConnectionPlace from,
                              absl::Time deadline, v1::ConnectionServiceListResponse* response) {
  const std::shared_ptr<ConnectionListing> listing(
      new ConnectionListing(membership, rpc, call, request, std::move(from), deadline, response));
  loop.Post([listing, &membership] {
    membership.Sync([listing](const absl::Status& status) {
      if (!status.ok()) {
        listing->call_->Finish(status);
        return;
      }
      listing->Next();
    });
  });
  call->OnCancelled([&loop, listing] { loop.Post([listing] { listing->GiveUp(); }); });
}

ConnectionListing::ConnectionListing(Membership& membership, Rpc& rpc, UnaryCall* call,
                                     const v1::ConnectionServiceListRequest& request, ConnectionPlace from,
                                     absl::Time deadline, v1::ConnectionServiceListResponse* response)
    : membership_(membership),
      rpc_(rpc),
      call_(call),
      request_(request),
      deadline_(deadline),
      response_(response),
      from_(std::move(from)) {}

void ConnectionListing::Next() {
  if (gone_) {
    call_->Finish(absl::CancelledError("the caller is gone"));
    return;
  }
  if (!request_.node_id().empty()) {
    // Whether there is such a node, the call finds out.
    if (from_.node_id != request_.node_id()) from_ = {.node_id = request_.node_id(), .node_token = ""};
    return Ask();
  }
  const auto& nodes = membership_.directory().nodes();
  const auto node = nodes.lower_bound(from_.node_id);
  if (node == nodes.end()) {
    call_->Finish(absl::OkStatus());
    return;
  }
  if (node->first != from_.node_id) from_ = {.node_id = node->first, .node_token = ""};
  if (response_->connections_size() >= request_.page_size()) {
    response_->set_next_page_token(from_.ToToken());
    call_->Finish(absl::OkStatus());
    return;
  }
  Ask();
}

void ConnectionListing::Ask() {
  v1::ConnectionServiceListRequest request = request_;
  request.set_node_id(from_.node_id);
  request.set_page_size(request_.page_size() - response_->connections_size());
  request.set_page_token(from_.node_token);
  asking_ =
      rpc_.Call({.method = "node.connections",
                 .arguments = {.kind = Content::Kind::kBytes, .body = request.SerializeAsString()},
                 .target = OneNode{from_.node_id},
                 .deadline = std::min(deadline_, MonotonicNow() + kNodeTime)},
                [self = shared_from_this()](absl::StatusOr<CallResult> result) { self->OnAnswer(std::move(result)); });
}

void ConnectionListing::OnAnswer(absl::StatusOr<CallResult> result) {
  v1::ConnectionServiceListResponse answer;
  if (result.ok() && answer.ParseFromString(result->result.body)) return Take(std::move(answer));
  const bool not_there = ReasonOf(result.status()) == v1::ERROR_REASON_NODE_NOT_FOUND;
  const bool refused = result.status().code() == absl::StatusCode::kInvalidArgument;
  if (refused || (not_there && !request_.node_id().empty())) {
    call_->Finish(result.status());
    return;
  }
  // One that has left meanwhile has no connections.
  if (!not_there) response_->add_missing_nodes(from_.node_id);
  Skip();
}

void ConnectionListing::Take(v1::ConnectionServiceListResponse answer) {
  const size_t bytes = answer.ByteSizeLong();
  if (bytes_ > 0 && bytes_ + bytes > kMaxPageBytes) {
    response_->set_next_page_token(from_.ToToken());
    call_->Finish(absl::OkStatus());
    return;
  }
  bytes_ += bytes;
  for (v1::Connection& connection : *answer.mutable_connections()) {
    *response_->add_connections() = std::move(connection);
  }
  if (answer.next_page_token().empty()) return Skip();
  from_.node_token = answer.next_page_token();
  response_->set_next_page_token(from_.ToToken());
  call_->Finish(absl::OkStatus());
}

void ConnectionListing::Skip() {
  if (!request_.node_id().empty()) {
    call_->Finish(absl::OkStatus());
    return;
  }
  // The least name after this one.
  from_ = {.node_id = absl::StrCat(from_.node_id, absl::string_view("\0", 1)), .node_token = ""};
  Next();
}

void ConnectionListing::GiveUp() {
  gone_ = true;
  rpc_.Cancel(asking_);
}

}  // namespace actioncluster

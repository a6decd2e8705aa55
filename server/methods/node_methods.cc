#include "server/methods/node_methods.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "backplane/domain/error.h"
#include "glog/logging.h"
#include "google/protobuf/struct.pb.h"

namespace actioncluster {
namespace {

constexpr std::array<absl::string_view, 4> kPublic = {"node.info", "node.log", "node.ping", "node.shutdown"};
constexpr size_t kMaxLogBytes = 4096;

Outcome Result(const google::protobuf::Value& value) {
  return {.kind = Outcome::Kind::kResult,
          .result = {.kind = Content::Kind::kJson, .body = value.SerializeAsString()},
          .error = {}};
}

Outcome Failure(absl::Status error) { return {.kind = Outcome::Kind::kError, .result = {}, .error = std::move(error)}; }

google::protobuf::Value Number(double number) {
  google::protobuf::Value value;
  value.set_number_value(number);
  return value;
}

google::protobuf::Value Text(absl::string_view text) {
  google::protobuf::Value value;
  value.set_string_value(std::string(text));
  return value;
}

google::protobuf::Value True() {
  google::protobuf::Value value;
  value.set_bool_value(true);
  return value;
}

// The call's first argument; an unset value if it has none, or they are not JSON.
google::protobuf::Value FirstArgument(const IncomingCall& call) {
  google::protobuf::ListValue arguments;
  if (call.arguments.kind != Content::Kind::kJson || !arguments.ParseFromString(call.arguments.body) ||
      arguments.values().empty()) {
    return {};
  }
  return arguments.values(0);
}

}  // namespace

bool IsPublicNodeMethod(absl::string_view method) {
  return std::find(kPublic.begin(), kPublic.end(), method) != kPublic.end();
}

void NodeMethods::Serve(std::string method, Handler handler) {
  CHECK(IsNodeMethod(method) && !IsPublicNodeMethod(method)) << "callers could name it: " << method;
  const auto [served, is_new] = served_.emplace(std::move(method), std::move(handler));
  CHECK(is_new) << "two serve one method: " << served->first;
}

void NodeMethods::Run(IncomingCall call, Done done) {
  if (call.method == "node.ping") return std::move(done)(Ping());
  if (call.method == "node.info") return std::move(done)(Info());
  if (call.method == "node.log") return std::move(done)(Log(call));
  if (call.method == "node.shutdown") {
    LOG(INFO) << "shutdown asked for by=" << call.caller.id;
    std::move(done)(Result(True()));
    return control_.shutdown();
  }
  if (call.method == "node.drain") {
    LOG(INFO) << "drain asked for by=" << call.caller.id;
    return control_.drain(
        absl::Seconds(FirstArgument(call).number_value()),
        [done = std::move(done)](uint32_t running) mutable { std::move(done)(Result(Number(running))); });
  }
  if (call.method == "node.workers") {
    return std::move(done)({.kind = Outcome::Kind::kResult,
                            .result = {.kind = Content::Kind::kBytes, .body = control_.workers()},
                            .error = {}});
  }
  if (const auto served = served_.find(call.method); served != served_.end()) {
    return served->second(std::move(call), std::move(done));
  }
  std::move(done)(
      {.kind = Outcome::Kind::kDeclined,
       .result = {},
       .error = MakeError(v1::ERROR_REASON_METHOD_NOT_FOUND, absl::StrCat("nodes offer no ", call.method))});
}

Outcome NodeMethods::Ping() const {
  google::protobuf::Value value;
  auto& fields = *value.mutable_struct_value()->mutable_fields();
  fields["node_id"] = Text(membership_.self().id);
  fields["boot_id"] = Text(membership_.self().boot);
  return Result(value);
}

Outcome NodeMethods::Info() {
  const internal::v1::NodeRecord* node = membership_.directory().FindBoot(membership_.self().boot);
  if (node == nullptr) return Failure(BackplaneUnavailable("this node has lost its lease"));
  google::protobuf::Value value;
  auto& fields = *value.mutable_struct_value()->mutable_fields();
  fields["id"] = Text(node->id());
  fields["boot_id"] = Text(node->boot_id());
  fields["host"] = Text(node->host());
  fields["pid"] = Number(static_cast<double>(node->pid()));
  fields["version"] = Text(node->version());
  fields["started_at"] =
      Text(absl::FormatTime(absl::RFC3339_full, absl::FromUnixMicros(node->started_at_us()), absl::UTCTimeZone()));
  fields["draining"].set_bool_value(node->draining());
  google::protobuf::ListValue* addresses = fields["addresses"].mutable_list_value();
  for (const std::string& address : node->addresses()) *addresses->add_values() = Text(address);
  google::protobuf::ListValue* methods = fields["methods"].mutable_list_value();
  for (const std::string& method : node->methods()) *methods->add_values() = Text(method);
  const internal::v1::NodeStats stats = control_.stats();
  auto& counts = *fields["counts"].mutable_struct_value()->mutable_fields();
  counts["calls_running"] = Number(stats.calls_running());
  counts["calls_waiting"] = Number(stats.calls_waiting());
  counts["applications"] = Number(stats.applications());
  counts["subscribers"] = Number(stats.subscribers());
  counts["workers"] = Number(stats.workers());
  counts["tasks_running"] = Number(stats.tasks_running());
  counts["connections"] = Number(stats.connections());
  auto& bus = *fields["bus"].mutable_struct_value()->mutable_fields();
  bus["published"] = Number(static_cast<double>(bus_.published));
  bus["accepted"] = Number(static_cast<double>(bus_.accepted));
  auto& rejected = *bus["rejected"].mutable_struct_value()->mutable_fields();
  for (int reason = 0; reason < kRejections; ++reason) {
    const std::string name(RejectionName(static_cast<Rejection>(reason)));
    rejected[name] = Number(static_cast<double>(bus_.rejected[static_cast<size_t>(reason)]));
  }
  return Result(value);
}

Outcome NodeMethods::Log(const IncomingCall& call) const {
  const google::protobuf::Value text = FirstArgument(call);
  if (!text.has_string_value()) return Failure(absl::InvalidArgumentError("node.log takes one argument: the text"));
  // Escaped, or a caller could write lines that look like the node's own.
  LOG(INFO) << "node.log from=" << call.caller.id << " text=\""
            << absl::CHexEscape(absl::string_view(text.string_value()).substr(0, kMaxLogBytes)) << '"';
  return Result(True());
}

}  // namespace actioncluster

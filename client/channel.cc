#include "client/channel.h"

#include <arpa/inet.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "client/callback_threads.h"
#include "client/service_config.h"

namespace actioncluster::client {
namespace {

// The largest value that a node can be set to keep is 64 MiB; what comes with it is little.
constexpr int kMaxReceivedBytes = 68 * 1024 * 1024;
// What is larger is not sent again, though no node has begun it. By default that would be a quarter of a MiB.
constexpr int kRepeatableBytes = 68 * 1024 * 1024;

enum class Kind { kIpv4, kIpv6, kName, kUnix, kNone };

Kind KindOf(absl::string_view address) {
  if (absl::StartsWith(address, "unix:")) return address.size() > 5 ? Kind::kUnix : Kind::kNone;
  const size_t colon = address.rfind(':');
  int port = 0;
  if (colon == absl::string_view::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port) || port < 1 ||
      port > 65'535) {
    return Kind::kNone;
  }
  const absl::string_view host = address.substr(0, colon);
  in6_addr binary;
  if (inet_pton(AF_INET, std::string(host).c_str(), &binary) == 1) return Kind::kIpv4;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    const std::string inner(host.substr(1, host.size() - 2));
    return inet_pton(AF_INET6, inner.c_str(), &binary) == 1 ? Kind::kIpv6 : Kind::kNone;
  }
  return host.empty() || host.find_first_of(":/, ") != absl::string_view::npos ? Kind::kNone : Kind::kName;
}

}  // namespace

absl::StatusOr<std::string> TargetOf(const std::vector<std::string>& addresses) {
  if (addresses.empty()) return absl::InvalidArgumentError("no address of a node is given");
  const Kind first = KindOf(addresses.front());
  for (const std::string& address : addresses) {
    const Kind kind = KindOf(address);
    if (kind == Kind::kNone) {
      return absl::InvalidArgumentError(
          absl::StrCat("no address: \"", address, "\"; one is host:port, [v6]:port or unix:/path"));
    }
    if (addresses.size() == 1) continue;
    if (kind != first || (kind != Kind::kIpv4 && kind != Kind::kIpv6)) {
      return absl::InvalidArgumentError(
          absl::StrCat("several addresses must be IP addresses of one family: ", absl::StrJoin(addresses, ", ")));
    }
  }
  switch (first) {
    case Kind::kIpv4:
      return absl::StrCat("ipv4:", absl::StrJoin(addresses, ","));
    case Kind::kIpv6:
      return absl::StrCat("ipv6:", absl::StrJoin(addresses, ","));
    case Kind::kName:
      return absl::StrCat("dns:///", addresses.front());
    case Kind::kUnix:
    case Kind::kNone:
      break;
  }
  return addresses.front();
}

std::shared_ptr<grpc::Channel> Connect(const std::string& target) {
  KeepCallbackThreads();
  grpc::ChannelArguments arguments;
  arguments.SetServiceConfigJSON(kServiceConfig);
  arguments.SetInt(GRPC_ARG_PER_RPC_RETRY_BUFFER_SIZE, kRepeatableBytes);
  arguments.SetLoadBalancingPolicyName("pick_first");
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(kMaxReceivedBytes);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  // A subscriber may hear nothing for long, and sends nothing itself: without this its keepalive would end after two pings.
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  // Also how long one attempt to connect may take.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2'000);
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace actioncluster::client

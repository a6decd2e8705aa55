#include "tests/cluster/client_support.h"

#include <utility>

#include "glog/logging.h"

namespace actioncluster::cluster {

std::unique_ptr<Client> NewClient(ClientOptions options) {
  absl::StatusOr<std::unique_ptr<Client>> client = Client::Create(std::move(options));
  CHECK(client.ok()) << client.status();
  return *std::move(client);
}

std::unique_ptr<Client> NewClient(const Node& node) {
  ClientOptions options;
  options.addresses = {node.address()};
  return NewClient(std::move(options));
}

v1::CallRequest AnyCall(const std::string& method) {
  v1::CallRequest request;
  request.set_method(method);
  request.set_any(true);
  return request;
}

MethodHostOptions Telling(const Events& events) {
  MethodHostOptions options;
  options.on_event = events.Listener();
  return options;
}

}  // namespace actioncluster::cluster

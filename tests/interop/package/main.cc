// What a user of the installed package would write: offers a method, calls it, and hears of it. Usage: package_user ADDRESS.

#include <actioncluster/client.h>
#include <actioncluster/json.h>
#include <actioncluster/method_host.h>
#include <actioncluster/status.h>
#include <actioncluster/subscriber.h>

#include <future>
#include <iostream>

namespace client = actioncluster::client;
namespace v1 = actioncluster::v1;

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  client::ClientOptions options;
  options.addresses = {argv[1]};
  auto client = client::Client::Create(options);
  if (!client.ok()) {
    std::cerr << client.status() << "\n";
    return 1;
  }

  client::MethodHost host(**client, {{"greet", client::Returning([](const v1::ServeResponse::Call& call) {
                                        return client::ToValue("hello, " + call.args().values(0).string_value());
                                      })}});
  v1::SubscribeRequest interest;
  interest.add_message_types("news");
  std::promise<std::string> heard;
  client::Subscriber subscriber(**client, interest, [&](const v1::SubscribeResponse& message) {
    if (message.message_type() == "news") heard.set_value(client::ToJson(message.value()));
  });
  for (const absl::Status& attached :
       {host.AwaitAttached(absl::Seconds(20)), subscriber.AwaitAttached(absl::Seconds(20))}) {
    if (attached.ok()) continue;
    std::cerr << attached << "\n";
    return 1;
  }

  v1::CallRequest request;
  request.set_method("greet");
  *request.mutable_args() = client::Args("world");
  const auto reply = (*client)->Call(request);
  std::cout << (reply.ok() ? client::ToJson(reply->result()) : reply.status().ToString()) << "\n";
  request.set_method("nobody.offers.this");
  std::cout << client::ReasonNameOf((*client)->Call(request).status()) << "\n";
  v1::PublishRequest message;
  message.set_message_type("news");
  *message.mutable_value() = client::ToValue(3);
  if (!(*client)->Publish(message).ok()) return 1;
  std::cout << heard.get_future().get() << "\n";
  return 0;
}

#include "actioncluster/method_host.h"

#include <utility>

#include "client/attachment.h"
#include "client/call_state.h"
#include "client/duration.h"
#include "client/handler_pool.h"
#include "client/serve_session.h"

namespace actioncluster::client {
namespace {

std::shared_ptr<const ServeConfig> MakeConfig(std::map<std::string, Handler> methods, const MethodHostOptions& options,
                                              std::shared_ptr<HandlerPool> pool) {
  auto config = std::make_shared<ServeConfig>();
  config->heartbeat_timeout = options.heartbeat_timeout;
  for (const auto& [method, handler] : methods) config->registration.add_methods(method);
  config->registration.set_max_in_flight(options.max_in_flight);
  *config->registration.mutable_heartbeat_timeout() = ToProto(options.heartbeat_timeout);
  config->run = [handlers = std::make_shared<const std::map<std::string, Handler>>(std::move(methods)),
                 pool = std::move(pool)](std::shared_ptr<CallState> call) {
    pool->Run([handlers, call = std::move(call)]() mutable {
      const auto handler = handlers->find(call->call().method());
      if (handler == handlers->end()) return call->Abandon();  // The node has not asked for what is registered.
      CallState::Run(call, handler->second);
    });
  };
  return config;
}

}  // namespace

struct MethodHost::Impl {
  std::shared_ptr<HandlerPool> pool;
  std::shared_ptr<Attachment> attachment;
};

MethodHost::MethodHost(Client& client, std::map<std::string, Handler> methods, MethodHostOptions options)
    : impl_(std::make_unique<Impl>()) {
  impl_->pool = std::make_shared<HandlerPool>(options.threads);
  const std::shared_ptr<const ServeConfig> config = MakeConfig(std::move(methods), options, impl_->pool);
  impl_->attachment = Attachment::Create(
      client,
      [&client, config](const std::shared_ptr<grpc::Channel>& channel, Session::Observer observer) {
        return std::make_shared<ServeSession>(client, channel, config, std::move(observer));
      },
      std::move(options.on_event));
  impl_->attachment->Start();
}

MethodHost::~MethodHost() { Stop(absl::ZeroDuration()); }

absl::Status MethodHost::AwaitAttached(absl::Duration limit) { return impl_->attachment->AwaitAttached(limit); }

void MethodHost::Stop(absl::Duration grace) {
  impl_->attachment->Stop(grace);
  // All calls have ended: what has not begun need not.
  impl_->pool->Stop();
}

}  // namespace actioncluster::client

#include "actioncluster/method_host.h"

#include <utility>

#include "client/attachment.h"
#include "client/call_state.h"
#include "client/duration.h"
#include "client/handler_pool.h"
#include "client/serve_session.h"

namespace actioncluster::client {
namespace {

using Handlers = std::map<std::string, Handler>;

// What a host offers, by what a call is for.
struct Offered {
  Handlers methods;
  Handlers connection_methods;
  Handlers hooks;

  // Null: nobody has offered that.
  const Handler* Find(const v1::ServeResponse::Call& call) const {
    const Handlers& handlers = call.scope() == v1::ServeResponse::SCOPE_CONNECTION ? connection_methods
                               : call.scope() == v1::ServeResponse::SCOPE_HOOK     ? hooks
                                                                                   : methods;
    const auto found = handlers.find(call.method());
    return found == handlers.end() ? nullptr : &found->second;
  }
};

std::shared_ptr<const ServeConfig> MakeConfig(Offered offered, const MethodHostOptions& options,
                                              std::shared_ptr<HandlerPool> pool) {
  auto config = std::make_shared<ServeConfig>();
  config->heartbeat_timeout = options.heartbeat_timeout;
  v1::ServeRequest::Register& registration = config->registration;
  for (const auto& [method, handler] : offered.methods) registration.add_methods(method);
  for (const auto& [method, handler] : offered.connection_methods) registration.add_connection_methods(method);
  for (const auto& [hook, handler] : offered.hooks) registration.add_hooks(hook);
  registration.set_max_in_flight(options.max_in_flight);
  registration.set_stays_while_draining(true);
  *registration.mutable_heartbeat_timeout() = ToProto(options.heartbeat_timeout);
  config->run = [offered = std::make_shared<const Offered>(std::move(offered)),
                 pool = std::move(pool)](std::shared_ptr<CallState> call) {
    pool->Run([offered, call = std::move(call)]() mutable {
      const Handler* const handler = offered->Find(call->call());
      if (handler == nullptr) return call->Abandon();  // The node has not asked for what is registered.
      CallState::Run(call, *handler);
    });
  };
  return config;
}

}  // namespace

struct MethodHost::Impl {
  std::shared_ptr<HandlerPool> pool;
  std::shared_ptr<Attachment> attachment;
};

MethodHost::MethodHost(Client& client, Handlers methods, MethodHostOptions options) : impl_(std::make_unique<Impl>()) {
  impl_->pool = std::make_shared<HandlerPool>(options.threads);
  Offered offered{.methods = std::move(methods),
                  .connection_methods = std::move(options.connection_methods),
                  .hooks = std::move(options.hooks)};
  const std::shared_ptr<const ServeConfig> config = MakeConfig(std::move(offered), options, impl_->pool);
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

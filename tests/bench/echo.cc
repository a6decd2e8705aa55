#include "tests/bench/echo.h"

#include <grpcpp/client_context.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/server_callback.h>

#include <cstdio>
#include <utility>

namespace actioncluster::bench {
namespace {

class Echo final : public v1::RpcService::CallbackService {
 public:
  grpc::ServerUnaryReactor* Call(grpc::CallbackServerContext* context, const v1::CallRequest* request,
                                 v1::CallResponse* response) override {
    response->set_data(request->data());
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

// Lives until its call has ended.
struct Pending {
  grpc::ClientContext context;
  v1::CallRequest request;
  v1::CallResponse response;
  absl::AnyInvocable<void(bool) &&> done;
};

}  // namespace

int ServeEcho(const std::string& address) {
  Echo echo;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials());
  builder.RegisterService(&echo);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  std::puts("ready");
  std::fflush(stdout);
  server->Wait();
  return 0;
}

Operation UnaryCall(v1::RpcService::Stub& stub, const std::string& method) {
  return [&stub, method](absl::AnyInvocable<void(bool) &&> done) {
    auto* call = new Pending;
    call->done = std::move(done);
    call->request.set_method(method);
    call->request.set_data("0123456789abcdef");
    stub.async()->Call(&call->context, &call->request, &call->response, [call](const grpc::Status& status) {
      absl::AnyInvocable<void(bool)&&> ended = std::move(call->done);
      const bool ok = status.ok() && call->response.data() == call->request.data();
      delete call;
      std::move(ended)(ok);
    });
  };
}

}  // namespace actioncluster::bench

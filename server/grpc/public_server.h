#ifndef ACTIONCLUSTER_SERVER_GRPC_PUBLIC_SERVER_H_
#define ACTIONCLUSTER_SERVER_GRPC_PUBLIC_SERVER_H_

#include <grpcpp/server.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace actioncluster {

// One listening gRPC server of a node, with health and reflection. A node has two: one on the port that all nodes of its machine share, one on its own.
// Used from the main thread, but for SetServing: any thread.
class PublicServer {
 public:
  enum class Port {
    kShared,  // SO_REUSEPORT: the kernel spreads new connections over the nodes that listen.
    kOwn,     // Exclusive: taken by anyone else, this fails.
  };

  // What is taken of a message at most, unless more is said: twice what is carried, so that whoever sends somewhat too much hears so from us, on a stream that goes on.
  static constexpr int kMaxReceiveBytes = 8 * 1024 * 1024;

  // Listens on `address` (`127.0.0.1:7400`) and serves `services`, which outlive this. FAILED_PRECONDITION: the address cannot be had. Health says NOT_SERVING at first.
  static absl::StatusOr<std::unique_ptr<PublicServer>> Start(const std::string& address, Port port,
                                                             const std::vector<grpc::Service*>& services,
                                                             int max_receive_bytes = kMaxReceiveBytes);
  // Cancels what runs, unless it has been shut down.
  ~PublicServer();
  PublicServer(const PublicServer&) = delete;
  PublicServer& operator=(const PublicServer&) = delete;

  // What grpc.health.v1 says, of the server and of each service.
  void SetServing(bool serving);

  // From now on no connection is taken, and clients are told to make their calls elsewhere; what comes until they have heard that is ended as CANCELLED, unbegun. What runs goes on. Once.
  void BeginShutdown();
  // After that: whether all that ran has ended within `limit`. Until it has, this may not be destroyed.
  bool AwaitShutdown(absl::Duration limit) const { return ended_.WaitForNotificationWithTimeout(limit); }

 private:
  explicit PublicServer(std::unique_ptr<grpc::Server> server) : server_(std::move(server)) {}
  const std::unique_ptr<grpc::Server> server_;
  std::thread shutting_down_;
  absl::Notification ended_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_GRPC_PUBLIC_SERVER_H_

#ifndef ACTIONCLUSTER_SERVER_SERVICES_CONNECTION_ASK_H_
#define ACTIONCLUSTER_SERVER_SERVICES_CONNECTION_ASK_H_

#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "backplane/redis/loop.h"
#include "backplane/rpc/rpc.h"
#include "server/grpc/unary_call.h"

namespace actioncluster {

// Asks the node that holds a connection to do something with it: nodes call each other so.
struct ConnectionQuestion {
  std::string method;  // `node.connection.apply`
  std::string connection_id;
  std::string request;  // Serialized.
  absl::Time deadline;  // Monotonic.
};
// The answer, serialized, and the node's id; on the I/O thread.
using ConnectionAnswer = absl::AnyInvocable<void(absl::StatusOr<CallResult>) &&>;

// Once more, if the node that was asked does not hold the connection any more and has done nothing: it may be at another by now. When the client of `call` gives up, so does this; `answer` is called all the same. It takes
// the call's OnCancelled. In the call's handler; what it refers to outlives the call.
void AskConnection(Loop& loop, Rpc& rpc, UnaryCall* call, ConnectionQuestion question, ConnectionAnswer answer);

// The whole of a handler that does only that: the response is what the node says.
template <class Response>
void RelayToConnection(Loop& loop, Rpc& rpc, UnaryCall* call, ConnectionQuestion question, Response* response) {
  AskConnection(loop, rpc, call, std::move(question), [call, response](absl::StatusOr<CallResult> result) {
    if (result.ok() && !response->ParseFromString(result->result.body)) {
      result = absl::InternalError("a node has answered what is no answer");
    }
    call->Finish(result.status());
  });
}

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_CONNECTION_ASK_H_

#ifndef ACTIONCLUSTER_SERVER_CONNECTIONS_CLIENT_STREAM_H_
#define ACTIONCLUSTER_SERVER_CONNECTIONS_CLIENT_STREAM_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "actioncluster/v1/connections.pb.h"
#include "server/grpc/outbox.h"

namespace actioncluster {

// A client's stream, as the connection host sees it: somewhere to send frames to. Sending never blocks and never calls back into the host. After the stream has ended, nothing happens. I/O thread.
//
// What is not read waits here, within a limit in bytes. Past it, frames that may be dropped are: the oldest of those that wait, and the client hears how many, where they are missing (`missed`); or, as
// the node is set, the stream ends with `goodbye{too_slow}`. Frames that may not be dropped have a limit of their own, far above what a client that reads ever leaves; past it the stream ends likewise.
class ClientStream {
 public:
  virtual ~ClientStream() = default;

  // A frame that is not dropped.
  virtual void Send(v1::OpenResponse frame) = 0;
  // An `invoke`. False: the client leaves too much unread; it was not sent.
  virtual bool SendInvoke(v1::OpenResponse frame) = 0;
  // A frame that may be dropped: a direct message.
  virtual void SendDirect(v1::OpenResponse frame) = 0;
  // Likewise: a serialized OpenResponse of about `bytes`, which other streams are sent too.
  virtual void SendMessage(const grpc::ByteBuffer& frame, size_t bytes, OutboxWriter writer) = 0;
  // A frame of about `bytes` that may be dropped can be sent without another being dropped for it, now and by as much again.
  virtual bool HasRoom(size_t bytes) const = 0;
  // An unknown number of messages may be missing here: the client hears it (`missed.gap`).
  virtual void MarkGap() = 0;
  // Frames dropped so far.
  virtual uint64_t missed() const = 0;
  // The last frame, and the end of the stream with that status, after what waits: but no longer than a few seconds, if the client does not read. The host has let go of it already.
  virtual void Close(v1::OpenResponse::Goodbye goodbye, const absl::Status& why) = 0;
  // The end without a goodbye: the hello was refused.
  virtual void Refuse(const absl::Status& why) = 0;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_CONNECTIONS_CLIENT_STREAM_H_

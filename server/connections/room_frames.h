#ifndef ACTIONCLUSTER_SERVER_CONNECTIONS_ROOM_FRAMES_H_
#define ACTIONCLUSTER_SERVER_CONNECTIONS_ROOM_FRAMES_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstddef>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "backplane/chat/room_feed.h"
#include "backplane/domain/content.h"

// v1.OpenResponse with what was said in a room, as it goes over the wire: made once for all members on a node, who share the bytes. Content is not parsed. Pure; any thread.
namespace actioncluster {

// Something said in a room, on its way to the members here.
struct Heard {
  uint64_t offset = 0;  // 0: the room has no history.
  grpc::ByteBuffer frame;
  size_t bytes = 0;
  // For hooks that are asked about it; the content only if there are some.
  std::string from;
  absl::Time sent_at;
  Content content;
};
using HeardPtr = std::shared_ptr<const Heard>;

// `keep_content`: a hook will be asked.
HeardPtr HearSaying(const RoomFeed::Incoming& saying, bool keep_content);

// The frame alone.
grpc::ByteBuffer EncodeSaying(const RoomFeed::Incoming& saying);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_CONNECTIONS_ROOM_FRAMES_H_

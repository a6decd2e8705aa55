#include "server/connections/room_frames.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>

#include <utility>

#include "actioncluster/v1/connections.pb.h"
#include "server/grpc/time_proto.h"

namespace actioncluster {
namespace {

using google::protobuf::internal::WireFormatLite;

// The beginning of a field that holds `size` bytes: those follow it.
std::string FieldHead(int number, size_t size) {
  std::string head;
  google::protobuf::io::StringOutputStream stream(&head);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.WriteTag(WireFormatLite::MakeTag(number, WireFormatLite::WIRETYPE_LENGTH_DELIMITED));
  coded.WriteVarint32(static_cast<uint32_t>(size));
  coded.Trim();
  return head;
}

}  // namespace

grpc::ByteBuffer EncodeSaying(const RoomFeed::Incoming& saying) {
  v1::OpenResponse::Message message;
  message.set_room(std::string(saying.room));
  message.set_from(std::string(saying.from));
  message.set_context(saying.from.empty() ? "system" : "user");
  *message.mutable_sent_at() = TimeToProto(saying.sent_at);
  message.set_offset(saying.offset);
  std::string head = message.SerializeAsString();
  if (saying.kind != Content::Kind::kNone) {
    head += FieldHead(saying.kind == Content::Kind::kJson ? v1::OpenResponse::Message::kValueFieldNumber
                                                          : v1::OpenResponse::Message::kDataFieldNumber,
                      saying.body.size());
  }
  const size_t body = saying.kind == Content::Kind::kNone ? 0 : saying.body.size();
  head.insert(0, FieldHead(v1::OpenResponse::kMessageFieldNumber, head.size() + body));
  const grpc::Slice slices[] = {grpc::Slice(head), grpc::Slice(saying.body.data(), body)};
  return grpc::ByteBuffer(slices, body == 0 ? 1 : 2);
}

HeardPtr HearSaying(const RoomFeed::Incoming& saying, bool keep_content) {
  auto heard = std::make_shared<Heard>();
  heard->offset = saying.offset;
  heard->frame = EncodeSaying(saying);
  heard->bytes = heard->frame.Length();
  heard->sent_at = saying.sent_at;
  if (keep_content) {
    heard->from = std::string(saying.from);
    heard->content = {.kind = saying.kind, .body = std::string(saying.body)};
  }
  return heard;
}

}  // namespace actioncluster

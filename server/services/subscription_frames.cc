#include "server/services/subscription_frames.h"

#include <grpcpp/support/slice.h>

#include <string>
#include <vector>

#include "actioncluster/v1/pubsub.pb.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/wire_format_lite.h"
#include "server/grpc/time_proto.h"

namespace actioncluster {
namespace {

using google::protobuf::internal::WireFormatLite;

// The beginning of a field that holds `size` bytes: those follow it.
void AppendFieldHead(int number, size_t size, std::string* out) {
  google::protobuf::io::StringOutputStream stream(out);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.WriteTag(WireFormatLite::MakeTag(number, WireFormatLite::WIRETYPE_LENGTH_DELIMITED));
  coded.WriteVarint32(static_cast<uint32_t>(size));
}

}  // namespace

grpc::ByteBuffer EncodeMessage(const PubSub::Incoming& message) {
  v1::SubscribeResponse envelope;
  envelope.set_message_type(std::string(message.type));
  envelope.set_node_id(std::string(message.node_id));
  *envelope.mutable_sent_at() = TimeToProto(message.sent_at);
  std::string head = envelope.SerializeAsString();
  if (message.kind == Content::Kind::kNone) {
    const grpc::Slice slice(head);
    return grpc::ByteBuffer(&slice, 1);
  }
  AppendFieldHead(message.kind == Content::Kind::kJson ? v1::SubscribeResponse::kValueFieldNumber
                                                       : v1::SubscribeResponse::kDataFieldNumber,
                  message.body.size(), &head);
  const grpc::Slice slices[] = {grpc::Slice(head), grpc::Slice(message.body.data(), message.body.size())};
  return grpc::ByteBuffer(slices, 2);
}

// Fields of one message may stand in any order, so what is appended to its bytes belongs to it.
grpc::ByteBuffer WithMissing(const grpc::ByteBuffer* frame, uint64_t missed, bool gap) {
  v1::SubscribeResponse missing;
  missing.set_missed(missed);
  missing.set_gap(gap);
  std::vector<grpc::Slice> slices;
  if (frame != nullptr) frame->Dump(&slices);
  slices.emplace_back(missing.SerializeAsString());
  return grpc::ByteBuffer(slices.data(), slices.size());
}

}  // namespace actioncluster

#ifndef ACTIONCLUSTER_BACKPLANE_DOMAIN_CONTENT_H_
#define ACTIONCLUSTER_BACKPLANE_DOMAIN_CONTENT_H_

#include <string>

#include "actioncluster/internal/v1/content.pb.h"

namespace actioncluster {

// A caller's own data. Only the two ends know what is in it; everything in between moves the bytes.
struct Content {
  enum class Kind { kNone, kJson, kBytes };

  Kind kind = Kind::kNone;
  // kJson: a serialized google.protobuf.Value, or ListValue where these are a call's arguments. kBytes: the caller's bytes.
  std::string body;

  friend bool operator==(const Content&, const Content&) = default;
};

// As it travels in envelopes; of none, nothing is set. A kind that we do not know (of a newer peer) is taken for none. Any thread.
void ToProto(Content content, internal::v1::Content* proto);
Content FromProto(const internal::v1::Content& proto);
Content::Kind KindOf(const internal::v1::Content& proto);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_DOMAIN_CONTENT_H_

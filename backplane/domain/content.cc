#include "backplane/domain/content.h"

#include <utility>

namespace actioncluster {

void ToProto(Content content, internal::v1::Content* proto) {
  switch (content.kind) {
    case Content::Kind::kNone:
      return;
    case Content::Kind::kJson:
      proto->set_kind(internal::v1::Content::KIND_JSON);
      break;
    case Content::Kind::kBytes:
      proto->set_kind(internal::v1::Content::KIND_BYTES);
      break;
  }
  proto->set_body(std::move(content.body));
}

Content FromProto(const internal::v1::Content& proto) {
  switch (proto.kind()) {
    case internal::v1::Content::KIND_JSON:
      return {Content::Kind::kJson, proto.body()};
    case internal::v1::Content::KIND_BYTES:
      return {Content::Kind::kBytes, proto.body()};
    default:
      return {};
  }
}

}  // namespace actioncluster

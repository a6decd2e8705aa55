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
  const Content::Kind kind = KindOf(proto);
  if (kind == Content::Kind::kNone) return {};
  return {kind, proto.body()};
}

Content::Kind KindOf(const internal::v1::Content& proto) {
  switch (proto.kind()) {
    case internal::v1::Content::KIND_JSON:
      return Content::Kind::kJson;
    case internal::v1::Content::KIND_BYTES:
      return Content::Kind::kBytes;
    default:
      return Content::Kind::kNone;
  }
}

}  // namespace actioncluster

#include "server/connections/room_hooks.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "actioncluster/internal/v1/envelope.pb.h"
#include "backplane/domain/clock.h"
#include "backplane/domain/error.h"
#include "google/protobuf/struct.pb.h"

namespace actioncluster {
namespace {

std::string MethodOf(absl::string_view hook) { return absl::StrCat(kHookPrefix, hook); }

bool Requires(const internal::v1::RoomRecord& room, absl::string_view hook) {
  return std::find(room.required_hooks().begin(), room.required_hooks().end(), hook) != room.required_hooks().end();
}

// The hook has judged, rather than kept from it.
bool IsVerdict(const absl::Status& error) {
  return ReasonOf(error) == v1::ERROR_REASON_HANDLER_FAILED && !MetadataOf(error).contains("lost");
}

// A call's arguments are a list.
Content AsArguments(const Content& content) {
  if (content.kind != Content::Kind::kJson) return content;
  google::protobuf::ListValue arguments;
  arguments.add_values()->ParseFromString(content.body);
  return {.kind = Content::Kind::kJson, .body = arguments.SerializeAsString()};
}

}  // namespace

bool RoomHooks::Idle(absl::string_view hook, const internal::v1::RoomRecord& room) const {
  return !Requires(room, hook) && membership_.directory().Offering(MethodOf(hook)).empty();
}

void RoomHooks::Ask(Question question, const internal::v1::RoomRecord& room,
                    absl::AnyInvocable<void(absl::StatusOr<Content>) &&> answer) {
  if (Idle(question.hook, room)) return std::move(answer)(std::move(question.content));
  internal::v1::CallSubject subject;
  subject.set_connection(std::move(question.connection));
  subject.set_room(std::move(question.room));
  subject.set_from_connection_id(std::move(question.from));
  CallSpec spec{.method = MethodOf(question.hook),
                .arguments = AsArguments(question.content),
                .target = AnyNode{},
                .deadline = MonotonicNow() + absl::Microseconds(room.hook_timeout_us()),
                .subject = subject.SerializeAsString()};
  rpc_.Call(std::move(spec), [said = std::move(question.content), required = Requires(room, question.hook),
                              answer = std::move(answer)](absl::StatusOr<CallResult> result) mutable {
    if (result.ok()) {
      std::move(answer)(result->result.kind == Content::Kind::kNone ? std::move(said) : std::move(result->result));
    } else if (!required && !IsVerdict(result.status())) {
      std::move(answer)(std::move(said));
    } else if (ReasonOf(result.status()) == v1::ERROR_REASON_METHOD_NOT_FOUND) {
      std::move(answer)(BackplaneUnavailable("no application offers a hook that the room requires"));
    } else {
      std::move(answer)(result.status());
    }
  });
}

}  // namespace actioncluster

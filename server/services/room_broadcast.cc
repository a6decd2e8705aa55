#include "server/services/room_broadcast.h"

#include <utility>

#include "backplane/domain/error.h"

namespace actioncluster {

void RoomBroadcast::Start(Loop& loop, RoomStore& store, RoomHooks& hooks, UnaryCall* call, Saying saying,
                          v1::BroadcastResponse* response) {
  const std::shared_ptr<RoomBroadcast> broadcast(new RoomBroadcast(store, hooks, call, std::move(saying), response));
  loop.Post([&loop, broadcast] { broadcast->Begin(loop); });
  call->OnCancelled([&loop, broadcast] {
    loop.Post([broadcast] { broadcast->Finish(absl::CancelledError("the caller is gone")); });
  });
}

RoomBroadcast::RoomBroadcast(RoomStore& store, RoomHooks& hooks, UnaryCall* call, Saying saying,
                             v1::BroadcastResponse* response)
    : store_(store), hooks_(hooks), call_(call), saying_(std::move(saying)), response_(response) {}

void RoomBroadcast::Begin(Loop& loop) {
  timer_.emplace(loop, [this] {
    Finish(MakeError(v1::ERROR_REASON_RPC_TIMEOUT, "what is to be said has not been said in time"));
  });
  timer_->Set(saying_.deadline);
  store_.Read(saying_.room, [self = shared_from_this()](const absl::StatusOr<RoomView>& view) {
    if (!view.ok()) return self->Finish(view.status());
    self->Ask(view->record);
  });
}

void RoomBroadcast::Ask(const internal::v1::RoomRecord& record) {
  if (call_ == nullptr) return;
  hooks_.Ask(
      {.hook = kHookReceive, .room = saying_.room, .connection = "", .from = "", .content = std::move(saying_.content)},
      record, [self = shared_from_this()](absl::StatusOr<Content> content) {
        if (!content.ok()) return self->Finish(content.status());
        self->Say(*std::move(content));
      });
}

void RoomBroadcast::Say(Content content) {
  if (call_ == nullptr) return;
  store_.Say(saying_.room, {.from = "", .content = std::move(content)},
             [self = shared_from_this()](const absl::StatusOr<RoomSaid>& said) {
               if (said.ok() && self->call_ != nullptr) {
                 self->response_->set_receivers(said->receivers);
                 self->response_->set_offset(said->offset);
               }
               self->Finish(said.status());
             });
}

void RoomBroadcast::Finish(const absl::Status& status) {
  if (call_ == nullptr) return;
  timer_.reset();
  std::exchange(call_, nullptr)->Finish(status);
}

}  // namespace actioncluster

#include "backplane/pubsub/pubsub.h"

#include <utility>
#include <vector>

#include "backplane/domain/error.h"

namespace actioncluster {
namespace {

using internal::v1::Envelope;

}  // namespace

// The bus and the loop outlive this: their callbacks find out so that there is no PubSub any more.
template <class F>
auto PubSub::WhileAlive(F f) {
  return [alive = std::weak_ptr<const bool>(alive_), f = std::move(f)](auto&&... arguments) mutable {
    if (!alive.expired()) f(std::forward<decltype(arguments)>(arguments)...);
  };
}

PubSub::PubSub(Loop& loop, Bus& bus, Membership& membership, const Keys& keys)
    : loop_(loop), bus_(bus), membership_(membership), keys_(keys) {
  bus_.Handle(Envelope::kMessage, WhileAlive([this](const Envelope& envelope, absl::Time) { OnEnvelope(envelope); }),
              Bus::Own::kHandle);
  bus_.OnState(WhileAlive([this](const absl::Status& state) { OnBusState(state); }));
}

PubSub::~PubSub() {
  for (auto& [id, ready] : std::exchange(ready_, {})) std::move(ready)(BackplaneUnavailable("the node is stopping"));
}

void PubSub::Publish(std::string type, Content content, absl::AnyInvocable<void(absl::StatusOr<int64_t>) &&> done) {
  if (!membership_.Serving()) {
    loop_.Post([done = std::move(done)]() mutable {
      std::move(done)(BackplaneUnavailable("this node is not in the cluster now"));
    });
    return;
  }
  const std::string channel = keys_.ChannelType(type);
  Envelope by_type;
  by_type.mutable_message()->set_type(std::move(type));
  if (content.kind != Content::Kind::kNone) ToProto(std::move(content), by_type.mutable_message()->mutable_content());
  Envelope for_patterns = by_type;
  for_patterns.mutable_message()->set_all_types(true);
  std::vector<Bus::Outgoing> both;
  both.push_back({channel, std::move(by_type)});
  both.push_back({keys_.ChannelAllTypes(), std::move(for_patterns)});
  bus_.PublishTogether(std::move(both), std::move(done));
}

PubSub::SubscriberId PubSub::Subscribe(Interest interest, Ready ready) {
  const SubscriberId id = ++last_id_;
  absl::Status state = bus_.state();
  if (state.ok() && !membership_.Serving()) state = BackplaneUnavailable("this node is not in the cluster now");
  const bool possible = state.ok();
  ready_.emplace(id, std::move(ready));
  const auto end = [this, id](absl::Status status) {
    loop_.Post(WhileAlive([this, id, status = std::move(status)] { EndReady(id, status); }));
  };
  if (!possible) {
    end(std::move(state));
    return id;
  }
  const SubscriptionTable::Added added = table_.Add(id, std::move(interest));
  for (const Feed& feed : added.listen) {
    bus_.Listen(ChannelOf(feed), WhileAlive([this, feed] {
                  for (const SubscriberId complete : table_.Confirmed(feed)) EndReady(complete, absl::OkStatus());
                }));
  }
  if (added.complete) end(absl::OkStatus());
  return id;
}

void PubSub::Unsubscribe(SubscriberId id) {
  ready_.erase(id);
  for (const Feed& feed : table_.Remove(id)) bus_.StopListening(ChannelOf(feed));
}

std::string PubSub::ChannelOf(const Feed& feed) const {
  return feed.has_value() ? keys_.ChannelType(*feed) : keys_.ChannelAllTypes();
}

void PubSub::EndReady(SubscriberId id, const absl::Status& status) {
  auto ready = ready_.extract(id);
  if (ready.empty()) return;
  if (!status.ok()) Unsubscribe(id);
  std::move(ready.mapped())(status);
}

void PubSub::OnEnvelope(const Envelope& envelope) {
  const internal::v1::Message& message = envelope.message();
  const Feed feed = message.all_types() ? Feed() : Feed(message.type());
  std::vector<SubscriberId> audience = table_.Audience(feed, message.type());
  // Who has not heard that its subscription stands does not expect messages.
  if (!ready_.empty()) std::erase_if(audience, [this](SubscriberId id) { return ready_.contains(id); });
  if (audience.empty()) return;
  listener_->OnMessage({.type = message.type(),
                        .node_id = envelope.sender_id(),
                        .kind = KindOf(message.content()),
                        .body = message.content().body(),
                        .sent_at = absl::FromUnixMicros(envelope.sent_at_us())},
                       audience);
}

void PubSub::OnBusState(const absl::Status& state) {
  if (state.ok()) {
    if (std::exchange(interrupted_, false) && table_.size() > 0) listener_->OnResumed();
    return;
  }
  std::vector<SubscriberId> waiting;
  waiting.reserve(ready_.size());
  for (const auto& [id, ready] : ready_) waiting.push_back(id);
  for (const SubscriberId id : waiting) EndReady(id, state);
  const std::vector<SubscriberId> complete = table_.Complete();
  if (complete.empty()) return;
  interrupted_ = true;
  listener_->OnInterrupted(complete);
}

}  // namespace actioncluster

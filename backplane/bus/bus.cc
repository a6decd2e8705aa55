#include "backplane/bus/bus.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "backplane/bus/bus_replies.h"
#include "backplane/bus/canary_watch.h"
#include "backplane/bus/replay_window.h"
#include "backplane/domain/error.h"
#include "backplane/redis/subscriber.h"
#include "glog/logging.h"

namespace actioncluster {
namespace {

using internal::v1::Envelope;

// A sender's clock can be as wrong as it likes: beyond this it is no excuse for being early or late.
constexpr absl::Duration kMaxSenderUncertainty = absl::Seconds(1);
// Samples of Redis's clock when a connection is new; the best of them counts.
constexpr int kFirstSamples = 3;

// Takes off what a script has put in front of a sealed envelope, and gives it; 0 if there is nothing. What is neither stays as it is: no envelope begins like that.
uint64_t TakePostmark(absl::string_view* payload) {
  if (!absl::StartsWith(*payload, "\2")) return 0;
  constexpr size_t kMaxDigits = 20;
  const size_t end = payload->substr(0, 1 + kMaxDigits + 1).find(':');
  if (end == absl::string_view::npos) return 0;
  const absl::string_view digits = payload->substr(1, end - 1);
  uint64_t postmark = 0;
  if (!std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit) || !absl::SimpleAtoi(digits, &postmark)) return 0;
  payload->remove_prefix(end + 1);
  return postmark;
}

}  // namespace

struct Bus::Impl {
  Impl(Loop& loop_in, redis::Client& commands_in, redis::LinkOptions subscriber_options, const Keys& keys_in,
       Sealer sealer_in, BusOptions options_in);

  void Begin(const std::string& boot_id, absl::AnyInvocable<void() &&> listening);
  void Listen(const std::string& channel, absl::AnyInvocable<void() &&> listening);
  void StopListening(const std::string& channel);
  void EndBoot(absl::AnyInvocable<void() &&> deaf);
  void Publish(const std::string& channel, Envelope envelope, Receivers done);
  void PublishTogether(std::vector<Outgoing> messages, Receivers done);
  // Stamped and sealed for the channel; or why it cannot be sent.
  absl::StatusOr<std::string> Seal(const std::string& channel, Envelope envelope);
  std::optional<Envelope> Unseal(const std::string& channel, absl::string_view sealed) const;
  // Ends a publication that was not begun.
  void Refuse(absl::Status why, Receivers done);

  // What arrives.
  void OnMessage(absl::string_view channel, absl::string_view payload);
  std::optional<Rejection> Check(absl::string_view channel, const Envelope& envelope, absl::Time now);
  void Deliver(absl::string_view channel, const Envelope& envelope, absl::Time now);
  void Reject(Rejection rejection, absl::string_view channel);

  // Clock, canary and state.
  void OnCommandsState(const absl::Status& status);
  void OnSubscriberState(const absl::Status& status);
  void OnTick();
  void SampleClock(int samples);
  void OnTime(absl::Time sent, int samples, const absl::StatusOr<redis::Reply>& reply);
  void SendCanary();
  absl::Status CurrentState() const;
  // `gap`: messages may have been lost, which listeners hear of in any case.
  void UpdateState(bool gap = false);

  // The command client outlives the bus: its callbacks find out by this that there is no bus any more.
  template <typename Callback>
  auto WhileAlive(Callback callback) {
    return [alive = std::weak_ptr<const bool>(alive_token), callback = std::move(callback)](auto&&... args) mutable {
      if (!alive.expired()) callback(std::forward<decltype(args)>(args)...);
    };
  }

  Loop& loop;
  redis::Client& commands;
  const Keys& keys;
  const Sealer sealer;
  const BusOptions options;
  const std::shared_ptr<const bool> alive_token = std::make_shared<const bool>(true);

  std::string boot;  // Empty before Begin.
  std::string own_channel;
  bool begun = false;  // The own channel has been confirmed: canaries can come back.
  std::string name;
  uint64_t last_sequence = 0;

  RedisClock clock;
  std::deque<std::pair<std::string, absl::AnyInvocable<void() &&>>> await_clock;  // By channel.
  ReplayWindow window;
  CanaryWatch watch;
  absl::Time next_forget = absl::InfinitePast();
  struct Registered {
    Handler handle;
    Own own;
  };
  absl::flat_hash_map<int, Registered> handlers;
  absl::Status state = BackplaneUnavailable("the bus has not begun");
  std::deque<StateListener> listeners;  // A listener may add another: references stay valid.
  BusCounters counters;
  Timer tick;
  redis::Subscriber subscriber;
};

Bus::Impl::Impl(Loop& loop_in, redis::Client& commands_in, redis::LinkOptions subscriber_options, const Keys& keys_in,
                Sealer sealer_in, BusOptions options_in)
    : loop(loop_in),
      commands(commands_in),
      keys(keys_in),
      sealer(std::move(sealer_in)),
      options(options_in),
      window(options_in.max_age),
      watch(options_in.canary_timeout),
      tick(loop_in, [this] { OnTick(); }),
      subscriber(loop_in, std::move(subscriber_options),
                 [this](absl::string_view channel, absl::string_view payload) { OnMessage(channel, payload); }) {
  subscriber.OnState([this](const absl::Status& status) { OnSubscriberState(status); });
  commands.OnState(WhileAlive([this](const absl::Status& status) { OnCommandsState(status); }));
  if (commands.state().ok()) SampleClock(kFirstSamples);
  tick.Set(MonotonicNow() + options.canary_every);
}

void Bus::Impl::Begin(const std::string& boot_id, absl::AnyInvocable<void() &&> listening) {
  if (!own_channel.empty()) StopListening(own_channel);
  boot = boot_id;
  own_channel = keys.ChannelBoot(boot_id);
  begun = false;
  Listen(own_channel, [this, listening = std::move(listening)]() mutable {
    begun = true;
    SendCanary();
    Listen(keys.ChannelAll(), std::move(listening));
  });
}

void Bus::Impl::Listen(const std::string& channel, absl::AnyInvocable<void() &&> listening) {
  subscriber.Subscribe(channel, [this, channel, listening = std::move(listening)]() mutable {
    window.Subscribed(channel, MonotonicNow());
    if (clock.known()) {
      std::move(listening)();
    } else {
      // Nothing can be judged or stamped yet.
      await_clock.emplace_back(channel, std::move(listening));
    }
  });
}

void Bus::Impl::StopListening(const std::string& channel) {
  subscriber.Unsubscribe(channel);
  window.Unsubscribed(channel);
  std::erase_if(await_clock, [&channel](const auto& waiting) { return waiting.first == channel; });
}

void Bus::Impl::EndBoot(absl::AnyInvocable<void() &&> deaf) {
  begun = false;  // No canary comes back any more.
  subscriber.Unsubscribe(own_channel, [this, deaf = std::move(deaf)]() mutable {
    window.Unsubscribed(own_channel);
    std::move(deaf)();
  });
}

absl::StatusOr<std::string> Bus::Impl::Seal(const std::string& channel, Envelope envelope) {
  if (boot.empty()) return BackplaneUnavailable("the bus has not begun");
  if (!clock.known()) return BackplaneUnavailable("Redis's time is not known yet");
  const absl::Time now = MonotonicNow();
  envelope.clear_postmark();
  envelope.set_sender_id(name);
  envelope.set_sender_boot(boot);
  envelope.set_sequence(++last_sequence);
  envelope.set_sent_at_us(absl::ToUnixMicros(clock.At(now)));
  const absl::Duration uncertainty = std::min(clock.Uncertainty(now), kMaxSenderUncertainty);
  envelope.set_uncertainty_us(static_cast<uint32_t>(absl::ToInt64Microseconds(uncertainty) + 1));
  std::string sealed = sealer.Seal(channel, envelope);
  if (sealed.size() > kMaxSealedBytes) {
    return MakeError(v1::ERROR_REASON_LIMIT_EXCEEDED, "the message is too large for the bus",
                     {{"limit", "envelope_bytes"}});
  }
  return sealed;
}

std::optional<Envelope> Bus::Impl::Unseal(const std::string& channel, absl::string_view sealed) const {
  Envelope envelope;
  if (sealer.Open(channel, sealed, &envelope).has_value()) return std::nullopt;
  envelope.clear_postmark();
  return envelope;
}

void Bus::Impl::Refuse(absl::Status why, Receivers done) {
  loop.Post([done = std::move(done), why = std::move(why)]() mutable { std::move(done)(std::move(why)); });
}

void Bus::Impl::Publish(const std::string& channel, Envelope envelope, Receivers done) {
  const absl::StatusOr<std::string> sealed = Seal(channel, std::move(envelope));
  if (!sealed.ok()) return Refuse(sealed.status(), std::move(done));
  ++counters.published;
  commands.Execute(
      redis::Command({"PUBLISH", channel, *sealed}),
      [done = std::move(done)](absl::StatusOr<redis::Reply> reply) mutable { std::move(done)(IntegerReply(reply)); });
}

void Bus::Impl::PublishTogether(std::vector<Outgoing> messages, Receivers done) {
  std::vector<redis::Command> publishes;
  publishes.reserve(messages.size());
  for (Outgoing& message : messages) {
    const absl::StatusOr<std::string> sealed = Seal(message.channel, std::move(message.envelope));
    if (!sealed.ok()) return Refuse(sealed.status(), std::move(done));
    publishes.push_back(redis::Command({"PUBLISH", message.channel, *sealed}));
  }
  counters.published += publishes.size();
  // What is wrong with one of them, EXEC says too.
  const auto ignore = [](const absl::StatusOr<redis::Reply>&) {};
  commands.Execute(redis::Command({"MULTI"}), ignore);
  for (redis::Command& publish : publishes) commands.Execute(std::move(publish), ignore);
  commands.Execute(redis::Command({"EXEC"}),
                   [done = std::move(done), count = publishes.size()](
                       const absl::StatusOr<redis::Reply>& reply) mutable { std::move(done)(SumReply(reply, count)); });
}

void Bus::Impl::OnMessage(absl::string_view channel, absl::string_view payload) {
  if (!window.IsSubscribed(channel)) return;  // Given up while this was under way.
  const absl::Time now = MonotonicNow();
  Envelope envelope;
  const uint64_t postmark = TakePostmark(&payload);
  std::optional<Rejection> rejection = sealer.Open(channel, payload, &envelope);
  if (!rejection.has_value()) rejection = Check(channel, envelope, now);
  if (rejection.has_value()) return Reject(*rejection, channel);
  envelope.set_postmark(postmark);
  Deliver(channel, envelope, now);
}

std::optional<Rejection> Bus::Impl::Check(absl::string_view channel, const Envelope& envelope, absl::Time now) {
  if (boot.empty() || !clock.known()) return Rejection::kStale;
  const absl::Duration sender = absl::Microseconds(envelope.uncertainty_us());
  return window.Admit(channel, envelope.sender_boot(), envelope.sequence(),
                      clock.ToMonotonic(absl::FromUnixMicros(envelope.sent_at_us())),
                      std::min(sender, kMaxSenderUncertainty) + clock.Uncertainty(now), now);
}

void Bus::Impl::Deliver(absl::string_view channel, const Envelope& envelope, absl::Time now) {
  const bool own = envelope.sender_boot() == boot;
  if (own && envelope.body_case() == Envelope::kCanary && channel == own_channel) {
    ++counters.accepted;
    watch.Heard(envelope.canary().number(), now);
    UpdateState();
    return;
  }
  const auto handler = handlers.find(envelope.body_case());
  if (own && (handler == handlers.end() || handler->second.own == Own::kDrop)) {
    ++counters.own;
    return;
  }
  ++counters.accepted;
  if (handler == handlers.end()) return;
  // It was not sent after it came, whatever the clocks' uncertainty says.
  const absl::Time sent_at = std::min(clock.ToMonotonic(absl::FromUnixMicros(envelope.sent_at_us())), now);
  handler->second.handle(envelope, sent_at);
}

void Bus::Impl::Reject(Rejection rejection, absl::string_view channel) {
  ++counters.rejected[static_cast<size_t>(rejection)];
  LOG_EVERY_T(WARNING, 1) << "envelope dropped reason=" << RejectionName(rejection) << " channel=" << channel;
}

void Bus::Impl::OnCommandsState(const absl::Status& status) {
  if (status.ok()) {
    SampleClock(kFirstSamples);
    SendCanary();  // The subscriber may have been back before.
  }
  UpdateState();
}

void Bus::Impl::OnSubscriberState(const absl::Status& status) {
  if (status.ok()) {
    SendCanary();
  } else {
    watch.Restart();
  }
  UpdateState(/*gap=*/!status.ok());
}

void Bus::Impl::OnTick() {
  const absl::Time now = MonotonicNow();
  tick.Set(now + options.canary_every);
  if (now >= next_forget) {
    window.Forget(now);
    next_forget = now + options.max_age;
  }
  const bool deaf = watch.Deaf(now);
  UpdateState();
  if (deaf && subscriber.state().ok()) {
    LOG(WARNING) << "subscriber is deaf, connecting anew canary_timeout=" << options.canary_timeout;
    subscriber.Reset(BackplaneUnavailable("canaries do not come back"));
  }
  if (commands.state().ok()) SampleClock(1);
  SendCanary();
}

void Bus::Impl::SampleClock(int samples) {
  const absl::Time sent = MonotonicNow();
  // One after the other: of several in one write only the first would say when it was sent.
  commands.Execute(
      redis::Command({"TIME"}),
      WhileAlive([this, sent, samples](const absl::StatusOr<redis::Reply>& reply) { OnTime(sent, samples, reply); }));
}

void Bus::Impl::OnTime(absl::Time sent, int samples, const absl::StatusOr<redis::Reply>& reply) {
  const absl::StatusOr<absl::Time> time = TimeReply(reply);
  if (!time.ok()) return;  // The command connection's state says so, or the next tick asks again.
  clock.Observe(sent, MonotonicNow(), *time);
  if (samples > 1) SampleClock(samples - 1);
  // One by one: each may give up the channels of others.
  while (!await_clock.empty()) {
    auto listening = std::move(await_clock.front().second);
    await_clock.pop_front();
    std::move(listening)();
  }
}

void Bus::Impl::SendCanary() {
  if (!begun || !clock.known() || !commands.state().ok() || !subscriber.state().ok()) return;
  Envelope envelope;
  const uint64_t number = watch.Next();
  envelope.mutable_canary()->set_number(number);
  Publish(own_channel, std::move(envelope), WhileAlive([this, number](const absl::StatusOr<int64_t>& receivers) {
            if (receivers.ok()) watch.Taken(number, MonotonicNow());
          }));
}

absl::Status Bus::Impl::CurrentState() const {
  if (boot.empty()) return BackplaneUnavailable("the bus has not begun");
  if (const absl::Status status = commands.state(); !status.ok()) return AsBackplaneError(status);
  if (const absl::Status status = subscriber.state(); !status.ok()) return AsBackplaneError(status);
  if (!watch.well()) return BackplaneUnavailable("the canary has not come back");
  return absl::OkStatus();
}

void Bus::Impl::UpdateState(bool gap) {
  absl::Status current = CurrentState();
  if (current == state && !gap) return;
  state = std::move(current);
  for (size_t i = 0; i < listeners.size(); ++i) listeners[i](state);
}

Bus::Bus(Loop& loop, redis::Client& commands, redis::LinkOptions subscriber, const Keys& keys, Sealer sealer,
         BusOptions options) {
  // Otherwise two clusters on one Redis would hear each other.
  CHECK_EQ(subscriber.endpoint.database, keys.database());
  impl_ = std::make_unique<Impl>(loop, commands, std::move(subscriber), keys, std::move(sealer), options);
}

Bus::~Bus() = default;

void Bus::Begin(const std::string& boot_id, absl::AnyInvocable<void() &&> listening) {
  impl_->Begin(boot_id, std::move(listening));
}

void Bus::SetName(const std::string& node_id) { impl_->name = node_id; }

void Bus::Handle(Body body, Handler handler, Own own) { impl_->handlers[body] = {std::move(handler), own}; }

void Bus::Listen(const std::string& channel, absl::AnyInvocable<void() &&> listening) {
  impl_->Listen(channel, std::move(listening));
}

void Bus::StopListening(const std::string& channel) { impl_->StopListening(channel); }

void Bus::EndBoot(absl::AnyInvocable<void() &&> deaf) { impl_->EndBoot(std::move(deaf)); }

void Bus::Publish(const std::string& channel, Envelope envelope, Receivers done) {
  impl_->Publish(channel, std::move(envelope), std::move(done));
}

void Bus::PublishTogether(std::vector<Outgoing> messages, Receivers done) {
  impl_->PublishTogether(std::move(messages), std::move(done));
}

absl::StatusOr<std::string> Bus::Seal(const std::string& channel, Envelope envelope) {
  absl::StatusOr<std::string> sealed = impl_->Seal(channel, std::move(envelope));
  if (sealed.ok()) ++impl_->counters.published;
  return sealed;
}

std::optional<Envelope> Bus::Unseal(const std::string& channel, absl::string_view sealed) const {
  return impl_->Unseal(channel, sealed);
}

void Bus::FindDeaf(std::vector<std::string> boots,
                   absl::AnyInvocable<void(absl::StatusOr<std::vector<std::string>>) &&> deaf) {
  std::vector<std::string> command = {"PUBSUB", "NUMSUB"};
  for (const std::string& boot : boots) command.push_back(impl_->keys.ChannelBoot(boot));
  impl_->commands.Execute(redis::Command(command), [boots = std::move(boots), deaf = std::move(deaf)](
                                                       absl::StatusOr<redis::Reply> reply) mutable {
    std::move(deaf)(WithoutListeners(reply, std::move(boots)));
  });
}

absl::Status Bus::state() const { return impl_->state; }

void Bus::OnState(StateListener listener) { impl_->listeners.push_back(std::move(listener)); }

bool Bus::CanPublish() const { return impl_->commands.state().ok(); }

const RedisClock& Bus::clock() const { return impl_->clock; }

const BusCounters& Bus::counters() const { return impl_->counters; }

const std::string& Bus::key_fingerprint() const { return impl_->sealer.fingerprint(); }

}  // namespace actioncluster

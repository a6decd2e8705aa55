#include "client/cli/pubsub_commands.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "actioncluster/subscriber.h"
#include "client/cli/attachment_watch.h"
#include "client/cli/content.h"
#include "client/cli/text.h"
#include "client/clock.h"

namespace actioncluster::cli {
namespace {

constexpr uint64_t kMaxCount = 1'000'000'000;
constexpr size_t kTypeWidth = 20;
constexpr size_t kNodeWidth = 24;

struct PublishOptions {
  std::string type;
  ContentOptions content;
};

struct SubscribeOptions {
  std::vector<std::string> types;
  std::vector<std::string> patterns;
  uint64_t count = 0;  // 0: without end.
};

absl::Status Publish(const PublishOptions& options, const Session& session) {
  v1::PublishRequest request;
  request.set_message_type(options.type);
  absl::StatusOr<AnyContent> content = ReadContent(options.content, "JSON");
  if (!content.ok()) return content.status();
  if (auto* const data = std::get_if<std::string>(&*content)) request.set_data(std::move(*data));
  if (auto* const value = std::get_if<google::protobuf::Value>(&*content)) *request.mutable_value() = std::move(*value);
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  const absl::StatusOr<v1::PublishResponse> response = (*client)->Publish(request);
  if (!response.ok()) return response.status();
  session.console.WriteLine(session.console.json()
                                ? ToJsonLine(*response)
                                : absl::StrCat("sent to ", response->receivers(),
                                               response->receivers() == 1 ? " node" : " nodes", " with subscribers"));
  return absl::OkStatus();
}

// Prints messages until there were enough. Called by one thread at a time; `enough` from any.
class Printer {
 public:
  Printer(uint64_t count, Console& console, Event& changed) : left_(count), console_(console), changed_(changed) {}

  void Print(const v1::SubscribeResponse& message) {
    if (enough_) return;
    const bool written = console_.json() ? console_.WriteLine(ToJsonLine(message)) : PrintForPeople(message);
    // News of missing messages alone is none.
    const bool was_last = !message.message_type().empty() && left_ > 0 && --left_ == 0;
    if (written && !was_last) return;
    enough_ = true;
    changed_.Set();
  }
  bool enough() const { return enough_; }

 private:
  bool PrintForPeople(const v1::SubscribeResponse& message) {
    if (message.missed() > 0) console_.Say(absl::StrCat("actioncluster: missed ", message.missed(), " messages"));
    if (message.gap()) console_.Say("actioncluster: there was a gap; nobody knows how many messages are missing");
    if (message.message_type().empty()) return true;
    const absl::Time sent_at =
        absl::FromUnixSeconds(message.sent_at().seconds()) + absl::Nanoseconds(message.sent_at().nanos());
    return console_.WriteLine(
        absl::StrCat(absl::FormatTime("%H:%M:%E3S", sent_at, absl::UTCTimeZone()), "  ",
                     Cell(message.message_type(), kTypeWidth), "  ", Cell(message.node_id(), kNodeWidth), "  ",
                     Escape(DescribeContent(message.has_value() ? &message.value() : nullptr, message))));
  }

  uint64_t left_;  // 0: without end.
  Console& console_;
  Event& changed_;
  std::atomic<bool> enough_ = false;
};

absl::Status Subscribe(const SubscribeOptions& options, const Session& session) {
  if (options.types.empty() && options.patterns.empty()) {
    return absl::InvalidArgumentError("subscribe to what? It takes a TYPE or a --pattern");
  }
  const absl::StatusOr<absl::Duration> timeout = ParseTimeout(session.options.timeout, kDefaultTimeout);
  if (!timeout.ok()) return timeout.status();
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  v1::SubscribeRequest interest;
  interest.mutable_message_types()->Add(options.types.begin(), options.types.end());
  interest.mutable_patterns()->Add(options.patterns.begin(), options.patterns.end());
  AttachmentWatch watch("subscribed", session.console);
  Printer printer(options.count, session.console, watch.changed());
  client::Subscriber subscriber(
      **client, std::move(interest), [&printer](const v1::SubscribeResponse& message) { printer.Print(message); },
      watch.listener());
  // Ctrl-C ends it in the ordinary way: there is nothing to put in order.
  const absl::Time give_up = client::MonotonicNow() + (*client)->options().timeout;
  while (!printer.enough()) {
    const absl::Duration limit = watch.attached() ? absl::Hours(1) : give_up - client::MonotonicNow();
    if (watch.ended() || limit <= absl::ZeroDuration()) return watch.Failure(*timeout);
    std::array<pollfd, 2> watched = {pollfd{watch.changed().fd(), POLLIN, 0}, pollfd{watch.output(), POLLOUT, 0}};
    poll(watched.data(), watched.size(), static_cast<int>(absl::ToInt64Milliseconds(limit + absl::Microseconds(999))));
    watch.changed().Clear();
    watch.Say();
  }
  subscriber.Stop();
  return absl::OkStatus();
}

}  // namespace

void AddPubSubCommands(CommandTree& tree) {
  const auto publish_options = std::make_shared<PublishOptions>();
  CLI::App* const publish = tree.AddCommand(
      &tree.root(),
      {.name = "publish",
       .meaning = "Send a message to all that are subscribed to its type",
       .example = R"(actioncluster publish news '{"headline": "it works"}')",
       .details = "Says how many nodes with subscribers it was sent to. With --json: {\"receivers\"}.\n"},
      [publish_options](const Session& session) { return Publish(*publish_options, session); });
  publish->group(kMessagesHeading);
  publish->add_option("TYPE", publish_options->type, "The kind of message")->required()->type_name("");
  AddContentOptions(publish, "JSON", "The content: any JSON value. None by default", &publish_options->content);

  const auto subscribe_options = std::make_shared<SubscribeOptions>();
  CLI::App* const subscribe =
      tree.AddCommand(&tree.root(),
                      {.name = "subscribe",
                       .meaning = "Print the messages of some types as they come, until Ctrl-C",
                       .example = "actioncluster subscribe news --pattern 'mail.*'",
                       .details = "Standard error says when it is attached to a node, and when that is lost; it finds "
                                  "another by itself. There it\n"
                                  "also says if messages were missed.\n"
                                  "With --json, a line for each: {\"message_type\", \"node_id\", \"value\": any JSON | "
                                  "\"data\": BASE64, \"sent_at\",\n"
                                  "\"missed\": STRING, \"gap\"}; without a type if it only says that messages were "
                                  "missed. --timeout is for being\n"
                                  "attached at first. Ctrl-C: the exit status is 130.\n"},
                      [subscribe_options](const Session& session) { return Subscribe(*subscribe_options, session); });
  subscribe->group(kMessagesHeading);
  subscribe->add_option("TYPE", subscribe_options->types, "Messages of these types")->type_name("");
  subscribe
      ->add_option("--pattern", subscribe_options->patterns,
                   "Messages of the types that match; * stands for any characters")
      ->option_text("P")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  subscribe->add_option("--count", subscribe_options->count, "End after so many messages")
      ->option_text("N")
      ->check(CLI::Range(uint64_t{1}, kMaxCount));
}

}  // namespace actioncluster::cli

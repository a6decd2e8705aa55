#include "client/cli/connect_command.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <deque>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "actioncluster/connection.h"
#include "actioncluster/json.h"
#include "actioncluster/status.h"
#include "client/cli/attachment_watch.h"
#include "client/cli/content.h"
#include "client/cli/serve_command.h"
#include "client/cli/serving.h"
#include "client/cli/text.h"
#include "client/clock.h"
#include "client/utf8.h"

namespace actioncluster::cli {
namespace {

constexpr int kAnswersAtOnce = 4;
constexpr size_t kRoomWidth = 16;
constexpr size_t kFromWidth = 16;

struct ConnectOptions {
  std::string id;
  std::string type;
  std::string fingerprint;
  std::string claims;
  std::vector<std::string> rooms;
  std::string method;
  std::string command;
  bool listen = false;
};

// Prints what comes, on the connection's threads.
class Printer {
 public:
  Printer(Console& console, Event& changed) : console_(console), changed_(changed) {}

  void OnMessage(const v1::OpenResponse::Message& message) {
    v1::OpenResponse frame;
    if (console_.json()) *frame.mutable_message() = message;
    Print(frame, message, message.sent_at(), message.room(), message.from().empty() ? "-" : message.from());
  }
  void OnDirect(const v1::OpenResponse::Direct& direct) {
    v1::OpenResponse frame;
    if (console_.json()) *frame.mutable_direct() = direct;
    Print(frame, direct, {}, "-", direct.from_node_id());
  }
  void OnMissed(const client::MissedMessages& missed) {
    if (console_.json()) {
      return Written(console_.WriteLine(absl::StrCat(
          R"({"missed":{"count":")", missed.count, R"(","rooms":[)",
          absl::StrJoin(missed.rooms, ",",
                        [](std::string* out, const std::string& room) { absl::StrAppend(out, QuoteJson(room)); }),
          "]}}")));
    }
    if (missed.count > 0) console_.Say(absl::StrCat("actioncluster: missed ", missed.count, " messages"));
    if (missed.rooms.empty()) return;
    console_.Say(absl::StrCat("actioncluster: messages may be missing in ", Escape(absl::StrJoin(missed.rooms, ", "))));
  }
  void OnLeft(const v1::OpenResponse::Left& left) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (left.reason() == "lost") {
      const absl::MutexLock lock(&mutex_);
      lost_rooms_.push_back(left.room());
    }
    changed_.Set();
    if (!console_.json()) {
      return console_.Say(absl::StrCat("actioncluster: out of ", Escape(left.room()), ": ", Escape(left.reason())));
    }
    v1::OpenResponse frame;
    *frame.mutable_left() = left;
    Written(console_.WriteLine(ToJsonLine(frame)));
  }

  // Nobody reads any more.
  bool closed() const { return closed_; }
  // The connection was away for too long, and out of these since.
  std::vector<std::string> TakeLostRooms() ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    return std::exchange(lost_rooms_, {});
  }

 private:
  template <class Content>
  void Print(const v1::OpenResponse& frame, const Content& content, const google::protobuf::Timestamp& sent_at,
             const std::string& room, const std::string& from) {
    if (console_.json()) return Written(console_.WriteLine(ToJsonLine(frame)));
    const absl::Time time = absl::FromUnixSeconds(sent_at.seconds()) + absl::Nanoseconds(sent_at.nanos());
    const bool has_time = sent_at.seconds() != 0;
    Written(console_.WriteLine(
        absl::StrCat(Cell(has_time ? absl::FormatTime("%H:%M:%E3S", time, absl::UTCTimeZone()) : "-", 12), "  ",
                     Cell(room, kRoomWidth), "  ", Cell(from, kFromWidth), "  ",
                     Escape(DescribeContent(content.has_value() ? &content.value() : nullptr, content)))));
  }
  void Written(bool written) {
    if (written) return;
    closed_ = true;
    changed_.Set();
  }

  Console& console_;
  Event& changed_;
  std::atomic<bool> closed_ = false;
  absl::Mutex mutex_;
  std::vector<std::string> lost_rooms_ ABSL_GUARDED_BY(mutex_);
};

client::Handler Answering(const std::string& line, const std::shared_ptr<Event>& stop_all) {
  return [line, stop_all](client::Invocation invocation) {
    // The callback may outlive this call by a moment.
    const auto cancelled = std::make_shared<Event>();
    invocation.OnCancel([cancelled] { cancelled->Set(); });
    absl::StatusOr<std::string> output = RunCommand(CommandFor(invocation.call(), line), *cancelled, stop_all.get());
    Answer(std::move(output), std::move(invocation));
  };
}

absl::StatusOr<client::ConnectionOptions> MakeOptions(const ConnectOptions& options,
                                                      const std::shared_ptr<Event>& stop_all) {
  if (options.method.empty() != options.command.empty()) {
    return absl::InvalidArgumentError("--answer and --exec go together");
  }
  client::ConnectionOptions made;
  made.id = options.id;
  made.type = options.type;
  made.fingerprint = options.fingerprint;
  made.can_chat = !options.listen;
  if (!options.claims.empty()) {
    absl::StatusOr<google::protobuf::Value> claims = client::ParseJson(options.claims);
    if (!claims.ok() || !claims->has_struct_value()) {
      return absl::InvalidArgumentError("--claims takes a JSON object");
    }
    made.claims = std::move(*claims->mutable_struct_value());
  }
  made.threads = kAnswersAtOnce;
  if (!options.method.empty()) made.methods = {{options.method, Answering(options.command, stop_all)}};
  return made;
}

// A connection, from the time when it is to stand until its end.
class Chat {
 public:
  Chat(const ConnectOptions& options, Console& console, const StopSignals& signals, AttachmentWatch& watch,
       Printer& printer, client::Connection& connection)
      : options_(options),
        console_(console),
        signals_(signals),
        watch_(watch),
        printer_(printer),
        connection_(connection) {}

  // OK: by a signal, by the end of the input, or as nobody reads the output any more.
  absl::Status Run(absl::Duration left, absl::Duration timeout) {
    const absl::Time give_up = client::MonotonicNow() + left;
    while (!printer_.closed() && !(input_ended_ && lines_.empty())) {
      const absl::Duration limit = !lines_.empty()     ? absl::ZeroDuration()
                                   : watch_.attached() ? absl::Hours(1)
                                                       : give_up - client::MonotonicNow();
      if (!watch_.attached() && limit <= absl::ZeroDuration()) return watch_.Failure(timeout);
      if (Await(limit)) return absl::OkStatus();
      watch_.changed().Clear();
      watch_.Say();
      if (watch_.ended()) return watch_.Failure(timeout);
      if (!watch_.attached()) continue;
      if (absl::Status joined = EnterRooms(); !joined.ok()) return joined;
      if (readable_) ReadInput();
      SayNext();
    }
    return absl::OkStatus();
  }

 private:
  // Waits for anything; true: a signal.
  bool Await(absl::Duration limit) {
    std::array<pollfd, 4> watched = {
        pollfd{signals_.fd(), POLLIN, 0}, pollfd{watch_.changed().fd(), POLLIN, 0}, pollfd{watch_.output(), POLLOUT, 0},
        pollfd{said_ready_ && !options_.listen && lines_.empty() && !input_ended_ ? STDIN_FILENO : -1, POLLIN, 0}};
    poll(watched.data(), watched.size(), static_cast<int>(absl::ToInt64Milliseconds(limit + absl::Microseconds(999))));
    // A descriptor that cannot be polled, as that of a file, is always readable.
    readable_ = watched[3].revents != 0;
    return watched[0].revents != 0 && signals_.Await(watch_.changed(), -1, absl::ZeroDuration());
  }

  absl::Status EnterRooms() {
    std::vector<std::string> rooms = printer_.TakeLostRooms();
    if (!std::exchange(entered_, true)) rooms = options_.rooms;
    for (const std::string& room : rooms) {
      const absl::Status joined = connection_.Join(room);
      if (!joined.ok() && client::ReasonOf(joined) != v1::ERROR_REASON_ALREADY_MEMBER) return joined;
    }
    if (!std::exchange(said_ready_, true)) SayReady();
    return absl::OkStatus();
  }

  void SayReady() {
    const std::string id = connection_.id();
    if (console_.json()) return console_.Say(absl::StrCat("{\"event\":\"ready\",\"id\":", QuoteJson(id), "}"));
    console_.Say(absl::StrCat("actioncluster: this is ", Escape(id), options_.rooms.empty() ? "" : ", in ",
                              Escape(absl::StrJoin(options_.rooms, ", "))));
  }

  void ReadInput() {
    std::array<char, 65536> buffer;
    const ssize_t got = read(STDIN_FILENO, buffer.data(), buffer.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (got > 0) {
      for (std::string& line : input_.Add({buffer.data(), static_cast<size_t>(got)})) lines_.push_back(std::move(line));
      return;
    }
    input_ended_ = true;
    if (!input_.rest().empty()) lines_.push_back(input_.rest());
  }

  // One at a time: a signal is heard between two.
  void SayNext() {
    if (lines_.empty()) return;
    const absl::Status said = options_.rooms.empty() ? absl::FailedPreconditionError("say it where? It takes a --room")
                                                     : connection_.Say(options_.rooms.front(),
                                                                       client::ToValue(client::ToUtf8(lines_.front())));
    lines_.pop_front();
    if (said.ok()) return;
    console_.Say(console_.json() ? ErrorToJson(said) : absl::StrCat("actioncluster: not said: ", DescribeError(said)));
  }

  const ConnectOptions& options_;
  Console& console_;
  const StopSignals& signals_;
  AttachmentWatch& watch_;
  Printer& printer_;
  client::Connection& connection_;
  LineBuffer input_;
  std::deque<std::string> lines_;  // To be said.
  bool readable_ = false;
  bool input_ended_ = false;
  bool entered_ = false;
  bool said_ready_ = false;
};

absl::Status Connect(const ConnectOptions& options, const Session& session) {
  const absl::StatusOr<absl::Duration> timeout = ParseTimeout(session.options.timeout, kDefaultTimeout);
  if (!timeout.ok()) return timeout.status();
  const auto stop_all = std::make_shared<Event>();
  absl::StatusOr<client::ConnectionOptions> made = MakeOptions(options, stop_all);
  if (!made.ok()) return made.status();
  // Before there are other threads: they are to leave these signals alone.
  const StopSignals signals;
  if (absl::Status room = ReserveFilesFor(kAnswersAtOnce); !room.ok()) return room;
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  AttachmentWatch watch("connected", session.console);
  Printer printer(session.console, watch.changed());
  made->on_message = [&printer](const v1::OpenResponse::Message& message) { printer.OnMessage(message); };
  made->on_direct = [&printer](const v1::OpenResponse::Direct& direct) { printer.OnDirect(direct); };
  made->on_missed = [&printer](const client::MissedMessages& missed) { printer.OnMissed(missed); };
  made->on_left = [&printer](const v1::OpenResponse::Left& left) { printer.OnLeft(left); };
  made->on_event = watch.listener();
  client::Connection connection(**client, *std::move(made));
  const absl::Status end =
      Chat(options, session.console, signals, watch, printer, connection).Run((*client)->options().timeout, *timeout);
  stop_all->Set();
  connection.Close();
  return end;
}

}  // namespace

std::vector<std::string> LineBuffer::Add(absl::string_view piece) {
  std::vector<std::string> lines;
  while (true) {
    const size_t end = piece.find('\n');
    absl::StrAppend(&rest_, piece.substr(0, end));
    if (end == absl::string_view::npos) return lines;
    lines.push_back(std::exchange(rest_, {}));
    piece.remove_prefix(end + 1);
  }
}

void AddConnectCommand(CommandTree& tree) {
  const auto options = std::make_shared<ConnectOptions>();
  CLI::App* const app = tree.AddCommand(
      &tree.root(),
      {.name = "connect",
       .meaning = "Be a connection: print what is said to it, and say each line of the input",
       .example = "actioncluster connect --id ann --room lobby",
       .details =
           "Each line of standard input is said in the first room, as a JSON string; its end, and Ctrl-C, end the "
           "connection,\n"
           "with exit status 0. When the node is lost it goes on at another, as the same connection. Standard error "
           "says so; what\n"
           "may be missing; and once it is in its rooms, who it is: \"this is ann, in lobby\", with --json "
           "{\"event\": \"ready\", \"id\"}.\n"
           "Printed are time, room, who said it (- for the server side) and what. With --json, a line for each: "
           "{\"message\": {\"room\",\n"
           "\"from\", \"value\": any JSON | \"data\": BASE64, \"context\", \"sent_at\", \"offset\": STRING}}, "
           "{\"direct\": {…, \"from_node_id\"}},\n"
           "{\"missed\": {\"count\": STRING, \"rooms\": []}} or {\"left\": {\"room\", \"reason\"}}.\n"
           "With --answer it answers `connection invoke ID METHOD` as rpc serve does calls. --timeout is for being "
           "connected at\nfirst, and for each line.\n"},
      [options](const Session& session) { return Connect(*options, session); });
  app->group(kConnectionsHeading);
  app->add_option("--id", options->id, "The connection's id; by default the node makes one up")->option_text("ID");
  app->add_option("--room", options->rooms, "Join this room; the first is the one to talk in")
      ->option_text("ROOM")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app->add_option("--claims", options->claims, "What it says of itself: a JSON object")->option_text("JSON");
  app->add_option("--type", options->type, "What kind of client it is; by default grpc")->option_text("TYPE");
  app->add_option("--fingerprint", options->fingerprint, "Its installation or session")->option_text("TEXT");
  app->add_flag("--listen", options->listen, "Leave standard input alone, and say nothing, until Ctrl-C");
  app->add_option("--answer", options->method, "Answer this method, with what --exec prints")->option_text("METHOD");
  app->add_option("--exec", options->command, "The command")->option_text("CMD");
}

}  // namespace actioncluster::cli

#include "client/cli/serve_command.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "actioncluster/json.h"
#include "client/cli/attachment_watch.h"
#include "client/cli/text.h"
#include "client/clock.h"
#include "client/utf8.h"

namespace actioncluster::cli {
namespace {

constexpr absl::Duration kGrace = absl::Seconds(10);
constexpr int kMaxInFlight = 1024;  // Each call that runs has a thread, which waits for its command.

struct ServeOptions {
  std::string name;
  std::string command;
  int max_in_flight = 16;
};

// Takes the signals that ask for an end out of the ordinary way, of this thread and those that it starts, and into a descriptor; puts them back at the
// end. One that is ignored stays so: nohup means it.
class StopSignals {
 public:
  StopSignals() {
    sigset_t ours;
    sigemptyset(&ours);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
      struct sigaction action = {};
      sigaction(number, nullptr, &action);
      if (action.sa_handler != SIG_IGN) sigaddset(&ours, number);
    }
    pthread_sigmask(SIG_BLOCK, &ours, &before_);
    fd_ = FileDescriptor(signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK));
  }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  ~StopSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  // Waits until a signal has come (true), `other` is set, `output` (if any) takes more or the limit is over.
  bool Await(const Event& other, int output, absl::Duration limit) const {
    std::array<pollfd, 3> watched = {pollfd{fd_.get(), POLLIN, 0}, pollfd{other.fd(), POLLIN, 0},
                                     pollfd{output, POLLOUT, 0}};
    const absl::Duration patience = std::clamp(limit, absl::ZeroDuration(), absl::Hours(1));
    poll(watched.data(), watched.size(),
         static_cast<int>(absl::ToInt64Milliseconds(patience + absl::Microseconds(999))));
    signalfd_siginfo info;
    return (watched[0].revents & POLLIN) != 0 && read(fd_.get(), &info, sizeof info) > 0;
  }

 private:
  sigset_t before_;
  FileDescriptor fd_;
};

client::Handler HandlerOf(const std::string& line, const std::shared_ptr<Event>& stop_all) {
  return [line, stop_all](client::Invocation invocation) {
    // The callback may outlive this call by a moment.
    const auto cancelled = std::make_shared<Event>();
    invocation.OnCancel([cancelled] { cancelled->Set(); });
    absl::StatusOr<std::string> output = RunCommand(CommandFor(invocation.call(), line), *cancelled, *stop_all);
    Answer(std::move(output), std::move(invocation));
  };
}

// Until a signal comes (OK), or it will not get better.
absl::Status AwaitEnd(AttachmentWatch& watch, const StopSignals& signals, absl::Duration left, absl::Duration timeout) {
  const absl::Time give_up = client::MonotonicNow() + left;
  while (true) {
    const absl::Duration limit = watch.attached() ? absl::InfiniteDuration() : give_up - client::MonotonicNow();
    if (limit <= absl::ZeroDuration()) return watch.Failure(timeout);
    if (signals.Await(watch.changed(), watch.output(), limit)) return absl::OkStatus();
    watch.changed().Clear();
    watch.Say();
    if (watch.ended()) return watch.Failure(timeout);
  }
}

absl::Status Serve(const ServeOptions& options, const Session& session) {
  const absl::StatusOr<absl::Duration> timeout = ParseTimeout(session.options.timeout, kDefaultTimeout);
  if (!timeout.ok()) return timeout.status();
  // Before there are other threads: they are to leave these signals alone.
  const StopSignals signals;
  const auto client = session.Connect();
  if (!client.ok()) return client.status();
  AttachmentWatch watch(absl::StrCat(options.name, " is offered"), session.console);
  const auto stop_all = std::make_shared<Event>();
  client::MethodHost host(**client, {{options.name, HandlerOf(options.command, stop_all)}},
                          {.threads = options.max_in_flight,
                           .max_in_flight = static_cast<uint32_t>(options.max_in_flight),
                           .on_event = watch.listener()});
  const absl::Status end = AwaitEnd(watch, signals, (*client)->options().timeout, *timeout);
  if (!end.ok()) return end;

  if (!session.console.json() && session.console.CanSay()) {
    session.console.Say("actioncluster: stopping; once more ends what runs at once");
  }
  Event stopped;
  std::jthread hurry([&] {
    if (signals.Await(stopped, -1, absl::InfiniteDuration())) stop_all->Set();
  });
  host.Stop(kGrace);
  stopped.Set();
  return absl::OkStatus();
}

}  // namespace

Command CommandFor(const v1::ServeResponse::Call& call, const std::string& line) {
  const absl::Time deadline =
      absl::FromUnixSeconds(call.deadline().seconds()) + absl::Nanoseconds(call.deadline().nanos());
  return {
      .line = line,
      .environment = {{"ACTIONCLUSTER_CALL_METHOD", call.method()},
                      {"ACTIONCLUSTER_CALL_CALLER_NODE_ID", call.caller_node_id()},
                      {"ACTIONCLUSTER_CALL_CONNECTION_ID", call.connection_id()},
                      {"ACTIONCLUSTER_CALL_DEADLINE",
                       absl::FormatTime("%Y-%m-%d%ET%H:%M:%E*SZ", deadline, absl::UTCTimeZone())}},
      .input = call.has_data() ? call.data() : absl::StrCat(client::ToJson(call.args()), "\n"),
  };
}

void Answer(absl::StatusOr<std::string> output, client::Invocation invocation) {
  if (!output.ok()) {
    std::move(invocation).Fail(output.status());
    return;
  }
  if (output->empty()) {
    std::move(invocation).ReturnNothing();
  } else if (absl::StatusOr<google::protobuf::Value> json = client::ParseJson(*output); json.ok()) {
    std::move(invocation).Return(*std::move(json));
  } else if (client::IsUtf8(*output)) {
    std::move(invocation).Return(client::ToValue(absl::StripSuffix(*output, "\n")));
  } else {
    std::move(invocation).ReturnBytes(*std::move(output));
  }
}

void AddServeCommand(CommandTree& tree, CLI::App* rpc) {
  const auto options = std::make_shared<ServeOptions>();
  CLI::App* const app = tree.AddCommand(
      rpc,
      {.name = "serve",
       .meaning = "Offer a method, and answer each call with what a command prints",
       .example = "actioncluster rpc serve clock --exec 'date +%s'",
       .details =
           "For each call, sh -c CMD is run in a process group of its own. It gets the arguments as a JSON array, or "
           "the\n"
           "bytes as they are, on its standard input, and in the environment ACTIONCLUSTER_CALL_METHOD, "
           "_CALLER_NODE_ID,\n"
           "_CONNECTION_ID and _DEADLINE (RFC 3339). What it prints is the result: JSON if it is JSON, else a string; "
           "none\n"
           "if it prints nothing. With an exit status other than 0 the call fails with UNKNOWN, the last of what it "
           "wrote to\n"
           "standard error and the metadata exit_status. When nobody waits for it any more, its process group is sent\n"
           "SIGTERM, and SIGKILL 2 s later.\n"
           "Standard error says when it is attached to a node, and when that is lost; it finds another by itself. "
           "With\n"
           "--json: {\"event\": \"attached\" | \"lost\" | \"ended\", \"address\", \"node_id\", \"error\"}; an end by "
           "an error is that error. --timeout "
           "is for being\n"
           "attached at first. SIGINT, SIGTERM, SIGHUP and SIGQUIT let what runs finish for up to 10 s; then the exit\n"
           "status is 0.\n"},
      [options](const Session& session) { return Serve(*options, session); });
  app->add_option("NAME", options->name, "The method's name")->required()->type_name("");
  app->add_option("--exec", options->command, "The command")->required()->option_text("CMD");
  app->add_option("--max-in-flight", options->max_in_flight, "How many calls to run at once: 1 to 1024; by default 16")
      ->option_text("N")
      ->check(CLI::Range(1, kMaxInFlight));
}

}  // namespace actioncluster::cli

#ifndef ACTIONCLUSTER_CLIENT_CLI_EXEC_CORE_H_
#define ACTIONCLUSTER_CLIENT_CLI_EXEC_CORE_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/limits.h"

namespace actioncluster::cli {

// Decides about one command that runs: when it is over, what came of it, and when which signal is to end it. A command that is to stop is sent SIGTERM, and
// SIGKILL if it is still there, or what it started has its output open, some time later. What of its group then is left without an output has nobody to
// put things in order for: its runner is to kill that at the end. A command that ends by itself is over, even if what it left in the background
// still has its output open.
//
// Does no I/O and reads no clock.
class ExecCore {
 public:
  struct Options {
    size_t max_output = client::kMaxContentBytes;  // What a call may carry back.
    size_t max_message = 4'096;                    // Of standard error the last is kept.
    absl::Duration kill_after = absl::Seconds(2);
  };

  explicit ExecCore(Options options) : options_(options) {}
  ExecCore() : ExecCore(Options()) {}

  // The command has written.
  void Output(absl::string_view bytes, absl::Time now);
  void ErrorOutput(absl::string_view bytes);
  // Nobody has its standard output and standard error open any more.
  void OutputsClosed() { outputs_closed_ = true; }
  // It has ended, as waitpid says. What it wrote before that has been told.
  void Exited(int wait_status) { wait_status_ = wait_status; }
  // Nobody waits for it any more.
  void Cancel(absl::Time now);

  // What its process group is to be sent now; each signal comes once.
  std::optional<int> TakeSignal(absl::Time now);
  // When to ask again for a signal, if nothing else happens. InfiniteFuture: never.
  absl::Time next_signal_at() const;
  bool done() const;
  // It was not left to end by itself.
  bool stopped() const { return stop_ != Stop::kNo; }

  // Once it is done: what it has written to its standard output. CANCELLED; RESOURCE_EXHAUSTED: it wrote more than that; UNKNOWN: it ended with
  // another status than 0, with the last of its standard error as the message and the metadata `exit_status` (128 + N after signal N, as shells have it).
  absl::StatusOr<std::string> Result() &&;

 private:
  enum class Stop { kNo, kCancelled, kOverflow };

  absl::Status Failure() const;

  const Options options_;
  std::string output_;
  std::string error_output_;
  bool error_output_cut_ = false;
  bool outputs_closed_ = false;
  std::optional<int> wait_status_;
  Stop stop_ = Stop::kNo;
  absl::Time kill_at_ = absl::InfiniteFuture();
  bool terminated_ = false;
  bool killed_ = false;
};

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_EXEC_CORE_H_

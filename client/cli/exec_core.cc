#include "client/cli/exec_core.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "actioncluster/status.h"
#include "client/utf8.h"

namespace actioncluster::cli {

void ExecCore::Output(absl::string_view bytes, absl::Time now) {
  if (stop_ != Stop::kNo) return;
  if (output_.size() + bytes.size() <= options_.max_output) {
    absl::StrAppend(&output_, bytes);
    return;
  }
  stop_ = Stop::kOverflow;
  kill_at_ = now + options_.kill_after;
  output_.clear();
}

void ExecCore::ErrorOutput(absl::string_view bytes) {
  absl::StrAppend(&error_output_, bytes);
  if (error_output_.size() <= options_.max_message) return;
  error_output_.erase(0, error_output_.size() - options_.max_message);
  error_output_cut_ = true;
}

void ExecCore::Cancel(absl::Time now) {
  if (stop_ != Stop::kNo) return;
  stop_ = Stop::kCancelled;
  kill_at_ = now + options_.kill_after;
}

std::optional<int> ExecCore::TakeSignal(absl::Time now) {
  if (stop_ == Stop::kNo || done()) return std::nullopt;
  if (!std::exchange(terminated_, true)) return SIGTERM;
  if (killed_ || now < kill_at_) return std::nullopt;
  killed_ = true;
  return SIGKILL;
}

absl::Time ExecCore::next_signal_at() const {
  if (stop_ == Stop::kNo || killed_ || done()) return absl::InfiniteFuture();
  return terminated_ ? kill_at_ : absl::InfinitePast();
}

bool ExecCore::done() const { return wait_status_.has_value() && (stop_ == Stop::kNo || outputs_closed_ || killed_); }

absl::StatusOr<std::string> ExecCore::Result() && {
  if (stop_ == Stop::kCancelled) return absl::CancelledError("nobody waits for the command any more");
  if (stop_ == Stop::kOverflow) {
    return absl::ResourceExhaustedError(absl::StrCat("the command wrote more than ", options_.max_output, " bytes"));
  }
  if (wait_status_ != 0) return Failure();
  return std::move(output_);
}

absl::Status ExecCore::Failure() const {
  const int wait_status = wait_status_.value_or(0);
  const bool by_signal = WIFSIGNALED(wait_status);
  absl::string_view last = error_output_;
  // What is cut begins within a line, which is left out if there are others.
  if (const size_t end = last.find('\n'); error_output_cut_ && end + 1 < last.size()) last.remove_prefix(end + 1);
  std::string message = client::ToUtf8(absl::StripAsciiWhitespace(last));
  if (message.empty()) {
    message = by_signal ? absl::StrCat("the command was ended by signal ", WTERMSIG(wait_status), " (",
                                       strsignal(WTERMSIG(wait_status)), ")")
                        : absl::StrCat("the command exited with status ", WEXITSTATUS(wait_status));
  }
  const int exit_status = by_signal ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
  return client::WithMetadata(absl::UnknownError(message), "exit_status", absl::StrCat(exit_status));
}

}  // namespace actioncluster::cli

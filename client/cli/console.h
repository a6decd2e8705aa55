#ifndef ACTIONCLUSTER_CLIENT_CLI_CONSOLE_H_
#define ACTIONCLUSTER_CLIENT_CLI_CONSOLE_H_

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "client/cli/exit_code.h"
#include "google/protobuf/message.h"

namespace actioncluster::cli {

// One object of one line: proto3 JSON with the fields' own names. Fields without presence are there also when they are empty, so that
// its shape is the same every time. A message whose text is no UTF-8 cannot be had from a node.
std::string ToJsonLine(const google::protobuf::Message& message);
// A JSON string, with its quotes.
std::string QuoteJson(absl::string_view text);

// `REASON (CODE) message [node ID]`, or `CODE message` for errors that are not a node's. In one line, escaped.
std::string DescribeError(const absl::Status& status);
// The same for programs: {"code", "reason", "message", "node_id", "metadata", "exit_code"}, all always there.
std::string ErrorToJson(const absl::Status& status);

// Where results and messages go. What is printed is written at once: whoever reads a stream sees each line as it comes. Thread-safe.
class Console {
 public:
  Console(int out, int err, bool json) : out_(out), err_(err), json_(json) {}
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  // Results and messages are for programs.
  bool json() const { return json_; }
  bool OutIsTerminal() const;
  // Standard error, and whether it takes a line at once. (A pipe that has room has that for a page.)
  int err() const { return err_; }
  bool CanSay() const;

  // Results, on standard output, as they are. False if nobody reads them any more, or they cannot be written: it is time to end.
  bool Write(absl::string_view bytes) ABSL_LOCKS_EXCLUDED(out_mutex_);
  bool WriteLine(absl::string_view line);
  // One line beside the results, on standard error.
  void Say(absl::string_view line) ABSL_LOCKS_EXCLUDED(err_mutex_);

  // The program's exit status, after an error was said in one line on standard error.
  ExitCode Finish(const absl::Status& status) ABSL_LOCKS_EXCLUDED(out_mutex_, err_mutex_);

 private:
  const int out_;
  const int err_;
  const bool json_;
  // Two, so that who does not read the one holds up nobody at the other.
  absl::Mutex out_mutex_;
  absl::Mutex err_mutex_;
  int out_error_ ABSL_GUARDED_BY(out_mutex_) = 0;  // Of errno; the first that writing gave.
};

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_CONSOLE_H_

#ifndef ACTIONCLUSTER_CLIENT_CLI_SERVING_H_
#define ACTIONCLUSTER_CLIENT_CLI_SERVING_H_

#include <signal.h>

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/cli/attachment_watch.h"
#include "client/cli/console.h"
#include "client/cli/content.h"
#include "client/cli/event.h"
#include "client/cli/file_descriptor.h"
#include "google/protobuf/timestamp.pb.h"

// What the subcommands share that run a command for whatever comes, until they are told to stop.
namespace actioncluster::cli {

// Takes the signals that ask for an end out of the ordinary way, of this thread and those that it starts, and into a descriptor; puts them back at the
// end. One that is ignored stays so: nohup means it. To be made before there are other threads.
class StopSignals {
 public:
  StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  ~StopSignals();

  // Waits until a signal has come (true), `other` is set, `output` (if any) takes more or the limit is over.
  bool Await(const Event& other, int output, absl::Duration limit) const;
  // Readable once a signal has come, to be waited for with more than that.
  int fd() const { return fd_.get(); }

 private:
  sigset_t before_;
  FileDescriptor fd_;
};

// Says what becomes of the stream until a signal comes (OK), or it will not get better; or it was not attached within `left`, of `timeout` in all.
absl::Status AwaitEnd(AttachmentWatch& watch, const StopSignals& signals, absl::Duration left, absl::Duration timeout);

// Runs `stop`, which lets what runs finish for up to a while; at another signal meanwhile runs `hurry` too, on another thread: it ends what runs.
void StopInGoodOrder(Console& console, const StopSignals& signals, const std::function<void()>& hurry,
                     const std::function<void(absl::Duration grace)>& stop);

// Lets this process open as many files as `at_once` running commands take, if the system lets it; INVALID_ARGUMENT if that is too many. Before there are other threads.
absl::Status ReserveFilesFor(int at_once);

// RFC 3339, as commands get it in their environment.
std::string FormatDeadline(const google::protobuf::Timestamp& deadline);

// What a command has printed, as content: nothing, JSON, else a string (without the line's end), else bytes.
AnyContent ParsePrinted(std::string output);

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_SERVING_H_

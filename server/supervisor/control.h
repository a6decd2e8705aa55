#ifndef ACTIONCLUSTER_SERVER_SUPERVISOR_CONTROL_H_
#define ACTIONCLUSTER_SERVER_SUPERVISOR_CONTROL_H_

#include <poll.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/supervisor/file_descriptor.h"

// How a shell speaks to a supervisor: by the unix socket `actioncluster.control` in the data directory, which only its user can open. Who answers
// there is the supervisor itself, so there is no number of a process that could be somebody else's by now. One line asks: `status`, `stop`,
// `stop now`, `restart`, `reload` or `scale N`. The answer ends with the connection: `ok` with what was asked for, or `CODE message`.
namespace actioncluster {

// What `status` says.
struct SupervisorStatus {
  struct Worker {
    int slot = 0;
    int pid = 0;            // 0: does not run.
    std::string state;      // starting, ready, stopping, waiting (to be started again), looping, retired (told to stop)
    std::string name;       // Empty until it was ready once.
    std::string addresses;  // With spaces between.
    int restarts = 0;       // After deaths.
  };
  int pid = 0;
  std::string state;  // starting, serving, restarting, suspended, stopping
  int workers = 0;    // As many as are wanted.
  std::string redis;  // external, ready, starting or absent
  int redis_pid = 0;
  std::vector<Worker> nodes;

  // Lines of text, and back; INTERNAL if they are no such lines.
  std::string Format() const;
  static absl::StatusOr<SupervisorStatus> Parse(absl::string_view text);
};

// The supervisor's end. Never blocks. Not thread-safe.
class ControlServer {
 public:
  struct Request {
    int id;  // For Answer.
    std::string line;
  };

  // To be called by the holder of the data directory's lock: what is there belongs to nobody. INTERNAL if it cannot listen.
  static absl::StatusOr<ControlServer> Open(const std::string& data_dir);
  ControlServer(ControlServer&& other) = default;
  ControlServer& operator=(ControlServer&& other) = delete;
  // Removes the socket. Connections of who still waits stay open: they end with this process, after all that it holds, and that is what is waited for.
  ~ControlServer();

  void Watch(std::vector<pollfd>* watched) const;
  // What has come in since.
  std::vector<Request> Take();
  void Answer(int id, absl::string_view text);

 private:
  struct Asker {
    int id;
    FileDescriptor fd;
    std::string line;
    bool asked = false;
  };
  ControlServer(FileDescriptor directory, FileDescriptor listener);

  FileDescriptor directory_;  // Closed once moved from.
  FileDescriptor listener_;
  std::vector<Asker> askers_;
  int last_id_ = 0;
};

// Asks the supervisor of a data directory, and waits for its answer. UNAVAILABLE: none runs there, or it ended before it answered (`ended_is_ok`:
// then the answer is empty); DEADLINE_EXCEEDED; whatever else the supervisor says.
absl::StatusOr<std::string> AskSupervisor(const std::string& data_dir, absl::string_view line, absl::Duration timeout,
                                          bool ended_is_ok);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SUPERVISOR_CONTROL_H_

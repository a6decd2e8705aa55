#ifndef ACTIONCLUSTER_TESTS_CHAOS_PROXY_H_
#define ACTIONCLUSTER_TESTS_CHAOS_PROXY_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <list>
#include <string>
#include <thread>

#include "absl/time/time.h"

namespace actioncluster::chaos {

// A network between a node and Redis: passes connections to its own unix socket on to another, and can be worse at it. Runs on a thread of its own. The setters are for any thread, and hold from
// a moment later on.
class Proxy {
 public:
  enum class Mode {
    kOpen,
    kSilent,  // Nothing gets through, and nobody is told: connections stay, new ones are not answered. What was sent arrives when it is open again.
    kCut,     // All connections are broken, and new ones too.
  };

  // From `path`, which it makes, to `target`.
  Proxy(const std::string& path, std::string target);
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  std::string url() const;

  void SetMode(Mode mode);
  // Each byte takes so much longer, either way.
  void SetDelay(absl::Duration delay);

 private:
  struct Chunk {
    std::string bytes;
    absl::Time due;
  };
  // What comes from one end and goes to the other.
  struct Way {
    int from = -1;
    int to = -1;
    std::deque<Chunk> chunks = {};
    size_t waiting = 0;  // Bytes in them.
    bool ended = false;  // Nothing more comes.
  };
  struct Connection {
    Way there;
    Way back;
    bool broken = false;
  };

  void Run();
  void Accept();
  void Pump(Connection& connection, absl::Time now) const;
  void Read(Way& way, Connection& connection, absl::Time now) const;
  static void Write(Way& way, Connection& connection, absl::Time now);
  static void Close(Connection& connection);
  void Wake();

  const std::string path_;
  const std::string target_;
  int listener_ = -1;
  int wake_ = -1;
  std::atomic<Mode> mode_ = Mode::kOpen;
  std::atomic<int64_t> delay_us_ = 0;
  std::atomic<bool> stopping_ = false;
  std::list<Connection> connections_;  // The thread's.
  std::thread thread_;
};

}  // namespace actioncluster::chaos

#endif  // ACTIONCLUSTER_TESTS_CHAOS_PROXY_H_

// Preloaded into a program, it has the program's wall clock wrong by ACTIONTEST_CLOCK_SHIFT_S seconds, as on a machine
// whose clock was never set; or by as many as the file ACTIONTEST_CLOCK_SHIFT_FILE says now, an int64_t in this machine's
// order of bytes, as on one whose clock is set again and again. What waits until a time of that clock waits as long as it means to: the kernel, which has
// the right time, is told the right time.

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdint>
#include <cstdlib>

namespace {

// Nothing: there is none, or it cannot be read.
const int64_t* File() {
  const char* const path = std::getenv("ACTIONTEST_CLOCK_SHIFT_FILE");
  if (path == nullptr) return nullptr;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return nullptr;
  void* const memory = mmap(nullptr, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  return memory == MAP_FAILED ? nullptr : static_cast<const int64_t*>(memory);
}

time_t Shift() {
  static const time_t shift = [] {
    const char* const text = std::getenv("ACTIONTEST_CLOCK_SHIFT_S");
    return text == nullptr ? 0 : static_cast<time_t>(std::atoll(text));
  }();
  static const int64_t* const file = File();
  return file == nullptr ? shift : static_cast<time_t>(__atomic_load_n(file, __ATOMIC_RELAXED));
}

template <class Function>
Function* Next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

bool IsWallClock(clockid_t clock) { return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE; }

// The two kinds of clocks are told apart by their values: the monotonic one counts from the machine's start.
timespec Right(const timespec& time) {
  constexpr time_t kNoUptime = 1'000'000'000;
  timespec right = time;
  if (right.tv_sec > kNoUptime) right.tv_sec -= Shift();
  return right;
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* time) noexcept {
  static const auto next = Next<int(clockid_t, timespec*)>("clock_gettime");
  const int result = next(clock, time);
  if (result == 0 && IsWallClock(clock)) time->tv_sec += Shift();
  return result;
}

int gettimeofday(timeval* time, void* zone) noexcept {
  static const auto next = Next<int(timeval*, void*)>("gettimeofday");
  const int result = next(time, zone);
  if (result == 0) time->tv_sec += Shift();
  return result;
}

time_t time(time_t* out) noexcept {
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}

int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex, const timespec* until) {
  static const auto next = Next<int(pthread_cond_t*, pthread_mutex_t*, const timespec*)>("pthread_cond_timedwait");
  const timespec right = Right(*until);
  return next(condition, mutex, &right);
}

int pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock, const timespec* until) {
  static const auto next =
      Next<int(pthread_cond_t*, pthread_mutex_t*, clockid_t, const timespec*)>("pthread_cond_clockwait");
  const timespec right = Right(*until);
  return next(condition, mutex, clock, &right);
}

// Abseil's locks wait by the bare futex.
long syscall(long number, ...) noexcept {
  static const auto next = Next<long(long, ...)>("syscall");
  va_list list;
  va_start(list, number);
  long arguments[6];
  for (long& argument : arguments) argument = va_arg(list, long);
  va_end(list);
  timespec right = {};
  if (number == SYS_futex && (arguments[1] & FUTEX_CLOCK_REALTIME) != 0 && arguments[3] != 0) {
    right = Right(*reinterpret_cast<const timespec*>(arguments[3]));
    arguments[3] = reinterpret_cast<long>(&right);
  }
  return next(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

}  // extern "C"

#include "datastore/telemetry/process_metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace holdfast::telemetry {
namespace {

std::string read_file(const char* path) {
  std::ifstream file(path);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

double number_of(const std::string& text) {
  return std::strtod(text.c_str(), nullptr);
}

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream stream(line);
  return {std::istream_iterator<std::string>(stream), {}};
}

// Fields of /proc/self/stat by their number in proc(5), which counts from 1. The second is the
// command in parentheses and may contain spaces, so counting starts behind its last parenthesis.
constexpr std::size_t kUserTicks = 14;
constexpr std::size_t kSystemTicks = 15;
constexpr std::size_t kStartTicks = 22;
constexpr std::size_t kVirtualBytes = 23;
constexpr std::size_t kResidentPages = 24;

double stat_field(std::size_t number) {
  const std::string stat = read_file("/proc/self/stat");
  const std::size_t command_end = stat.rfind(')');
  if (command_end == std::string::npos || command_end + 2 > stat.size()) {
    return 0;
  }
  std::istringstream fields(stat.substr(command_end + 2));
  constexpr std::size_t kFirstBehindCommand = 3;
  std::string field;
  for (std::size_t i = kFirstBehindCommand; i <= number; ++i) {
    fields >> field;
  }
  return fields ? number_of(field) : 0;
}

double ticks_per_second() {
  return static_cast<double>(sysconf(_SC_CLK_TCK));
}

double cpu_seconds() {
  return (stat_field(kUserTicks) + stat_field(kSystemTicks)) / ticks_per_second();
}

double start_unix_seconds() {
  std::ifstream stat("/proc/stat");
  double boot = 0;
  for (std::string line; std::getline(stat, line);) {
    if (line.starts_with("btime ")) {
      boot = number_of(line.substr(6));
    }
  }
  return boot + stat_field(kStartTicks) / ticks_per_second();
}

double open_descriptors() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) {
    return 0;
  }
  double count = -1;  // the one just opened
  while (const dirent* entry = readdir(directory)) {
    count += entry->d_name[0] != '.' ? 1 : 0;
  }
  closedir(directory);
  return count;
}

double limit(int resource) {
  rlimit limits{};
  return getrlimit(static_cast<__rlimit_resource_t>(resource), &limits) == 0
             ? static_cast<double>(limits.rlim_cur)
             : 0;
}

// The two IpExt lines of /proc/self/net/netstat: names, then numbers.
double network_bytes(std::string_view name) {
  std::ifstream netstat("/proc/self/net/netstat");
  std::vector<std::string> names;
  for (std::string line; std::getline(netstat, line);) {
    if (!line.starts_with("IpExt:")) {
      continue;
    }
    if (names.empty()) {
      names = words_of(line);
      continue;
    }
    const std::vector<std::string> numbers = words_of(line);
    const auto column = static_cast<std::size_t>(std::ranges::find(names, name) - names.begin());
    return column < numbers.size() ? number_of(numbers[column]) : 0;
  }
  return 0;
}

}  // namespace

void add_process_metrics(MetricRegistry& registry) {
  registry.counter_from("process_cpu_seconds_total", "User and system CPU time in seconds.",
                        cpu_seconds);
  registry.gauge("process_open_fds", "Open file descriptors.").set_source(open_descriptors);
  registry.gauge("process_max_fds", "Most file descriptors that may be open.").set_source([] {
    return limit(RLIMIT_NOFILE);
  });
  registry.gauge("os_fd_used", "Open file descriptors, by etcd's name.")
      .set_source(open_descriptors);
  registry.gauge("os_fd_limit", "Most file descriptors that may be open, by etcd's name.")
      .set_source([] { return limit(RLIMIT_NOFILE); });
  registry.gauge("process_virtual_memory_bytes", "Virtual memory in bytes.").set_source([] {
    return stat_field(kVirtualBytes);
  });
  registry.gauge("process_virtual_memory_max_bytes", "Most virtual memory allowed, in bytes.")
      .set_source([] { return limit(RLIMIT_AS); });
  registry.gauge("process_resident_memory_bytes", "Resident memory in bytes.").set_source([] {
    return stat_field(kResidentPages) * static_cast<double>(sysconf(_SC_PAGESIZE));
  });
  registry.gauge("process_start_time_seconds", "Unix time at which the process started.")
      .set_source(start_unix_seconds);
  registry.counter_from("process_network_receive_bytes_total",
                        "Bytes received in the process's network namespace.",
                        [] { return network_bytes("InOctets"); });
  registry.counter_from("process_network_transmit_bytes_total",
                        "Bytes sent in the process's network namespace.",
                        [] { return network_bytes("OutOctets"); });
}

}  // namespace holdfast::telemetry

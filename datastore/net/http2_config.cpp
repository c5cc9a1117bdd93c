#include "datastore/base/check.h"
#include "datastore/net/http2_session.h"

namespace holdfast::net {

Http2Config::Http2Config(const ServerOptions& options) {
  HOLDFAST_CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks,
                                                          &Http2Session::on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback2(callbacks, &Http2Session::on_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, &Http2Session::on_frame_received);
  nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks,
                                                               &Http2Session::on_invalid_frame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks,
                                                            &Http2Session::on_data_chunk);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, &Http2Session::on_frame_sent);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks,
                                                         &Http2Session::on_stream_closed);
  nghttp2_session_callbacks_set_send_data_callback(callbacks, &Http2Session::on_data_sent);

  HOLDFAST_CHECK(nghttp2_option_new(&option) == 0);
  nghttp2_option_set_no_auto_window_update(option, 1);
  // Closed streams would be kept for the old priority tree, which we don't use.
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_stream_reset_rate_limit(option, options.reset_burst,
                                             options.resets_per_second);
}

Http2Config::~Http2Config() {
  nghttp2_session_callbacks_del(callbacks);
  nghttp2_option_del(option);
}

}  // namespace holdfast::net

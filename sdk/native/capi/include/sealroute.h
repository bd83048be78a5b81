/* The C interface of a Sealroute client: sessions with everybody's images and voices, end-to-end
 * encrypted where the session is.
 *
 * Rules, all of which are tested:
 *  - Every function may be called from any thread, and inside any callback, `_delete` too.
 *  - Callbacks of a session, and of what it publishes and subscribes to, come from one thread in the
 *    order in which things happen; images come from a thread of their subscriber.
 *  - After `_delete` has returned nothing of that object is called any more. Inside a callback of the
 *    same object, that one callback ends as usual.
 *  - What a callback is given lives until it returns; `_copy` keeps it. What `_new` and `_copy` gave
 *    is the caller's to `_delete`. A text that a function returns belongs to its object.
 *  - NULL, an object of another kind, and one that was deleted are refused, with
 *    OTC_SESSION_NULL_OR_INVALID_PARAMETER, NULL or 0; so is text that is not UTF-8.
 *  - A fault inside of this library is OTC_SESSION_INTERNAL_ERROR; it never ends the program. */
#ifndef SEALROUTE_H
#define SEALROUTE_H

#include <stddef.h>
#include <stdint.h>

#include "sealroute_errors.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef int otc_bool;
#define OTC_FALSE 0
#define OTC_TRUE 1

/* 0, or one of the numbers of sealroute_errors.h. */
typedef int otc_status;
#define OTC_SUCCESS 0

/* Of an encryption secret, in characters. */
#define ENCRYPTION_SECRET_MINIMUM_LENGTH 8
#define ENCRYPTION_SECRET_MAXIMUM_LENGTH 256

typedef struct otc_session otc_session;
typedef struct otc_session_settings otc_session_settings;
typedef struct otc_publisher otc_publisher;
typedef struct otc_publisher_settings otc_publisher_settings;
typedef struct otc_subscriber otc_subscriber;
typedef struct otc_stream otc_stream;
typedef struct otc_connection otc_connection;
typedef struct otc_video_frame otc_video_frame;
typedef struct otc_video_capturer otc_video_capturer;
typedef struct otc_audio_device otc_audio_device;

/* --- the library ------------------------------------------------------------------------------ */

/* `parameters`: NULL. Idempotent. */
otc_status otc_init(void *parameters);
/* What was not deleted by then is deleted. */
otc_status otc_destroy(void);
/* Of this library. */
const char *otc_version(void);

enum otc_log_level {
  OTC_LOG_LEVEL_DISABLED = 0,
  OTC_LOG_LEVEL_FATAL = 20,
  OTC_LOG_LEVEL_ERROR = 30,
  OTC_LOG_LEVEL_WARN = 40,
  OTC_LOG_LEVEL_INFO = 50,
  OTC_LOG_LEVEL_DEBUG = 60,
  OTC_LOG_LEVEL_TRACE = 70,
  OTC_LOG_LEVEL_ALL = 100
};
typedef void (*otc_logger_callback)(const char *message);
/* Nothing is logged before. Secrets, tokens and what people say to each other never are. */
void otc_log_enable(int level);
/* NULL: to the standard error stream. */
void otc_log_set_logger_callback(otc_logger_callback callback);

/* Where the server is: http(s)://host[:port][/path]. Of a session: its proxy URL; else this one; else
 * the variable SEALROUTE_URL of the environment. */
otc_status otc_set_server_url(const char *url);
/* A new secret of 32 random bytes as text; NULL if there is no randomness. To be given to
 * `otc_free_string`. */
char *otc_generate_encryption_secret(void);
void otc_free_string(char *text);

/* --- connections and streams of others -------------------------------------------------------- */

const char *otc_connection_get_id(const otc_connection *connection);
/* Milliseconds since 1970. */
int64_t otc_connection_get_creation_time(const otc_connection *connection);
/* What the token's maker said of it; empty if nothing. */
const char *otc_connection_get_data(const otc_connection *connection);
const char *otc_connection_get_session_id(const otc_connection *connection);
otc_connection *otc_connection_copy(const otc_connection *connection);
otc_status otc_connection_delete(otc_connection *connection);

enum otc_stream_video_type {
  OTC_STREAM_VIDEO_TYPE_CAMERA = 1,
  OTC_STREAM_VIDEO_TYPE_SCREEN = 2,
  OTC_STREAM_VIDEO_TYPE_CUSTOM = 3
};
const char *otc_stream_get_id(const otc_stream *stream);
const char *otc_stream_get_name(const otc_stream *stream);
int64_t otc_stream_get_creation_time(const otc_stream *stream);
otc_bool otc_stream_has_audio(const otc_stream *stream);
otc_bool otc_stream_has_video(const otc_stream *stream);
/* 0 without video. */
int otc_stream_get_video_type(const otc_stream *stream);
int otc_stream_get_video_width(const otc_stream *stream);
int otc_stream_get_video_height(const otc_stream *stream);
/* Belongs to the stream. */
const otc_connection *otc_stream_get_connection(const otc_stream *stream);
otc_stream *otc_stream_copy(const otc_stream *stream);
otc_status otc_stream_delete(otc_stream *stream);

/* --- images --------------------------------------------------------------------------------- */

/* Formats of 32 and 24 bits are named by a word of the machine, as V4L2 and libyuv do: the first byte
 * in memory is the last of the name. */
enum otc_video_frame_format {
  OTC_VIDEO_FRAME_FORMAT_UNKNOWN = 0,
  OTC_VIDEO_FRAME_FORMAT_YUV420P = 1,
  OTC_VIDEO_FRAME_FORMAT_NV12 = 2,
  OTC_VIDEO_FRAME_FORMAT_NV21 = 3,
  OTC_VIDEO_FRAME_FORMAT_YUY2 = 4,
  OTC_VIDEO_FRAME_FORMAT_UYVY = 5,
  OTC_VIDEO_FRAME_FORMAT_ARGB32 = 6,
  OTC_VIDEO_FRAME_FORMAT_BGRA32 = 7,
  OTC_VIDEO_FRAME_FORMAT_RGB24 = 8,
  OTC_VIDEO_FRAME_FORMAT_ABGR32 = 9,
  /* Refused: this library has no JPEG. */
  OTC_VIDEO_FRAME_FORMAT_MJPEG = 10,
  OTC_VIDEO_FRAME_FORMAT_RGBA32 = 11
};
enum otc_video_frame_plane {
  OTC_VIDEO_FRAME_PLANE_Y = 0,
  OTC_VIDEO_FRAME_PLANE_U = 1,
  OTC_VIDEO_FRAME_PLANE_V = 2,
  OTC_VIDEO_FRAME_PLANE_PACKED = 0,
  OTC_VIDEO_FRAME_PLANE_UV_INTERLEAVED = 1,
  OTC_VIDEO_FRAME_PLANE_VU_INTERLEAVED = 1
};
/* Copies the image, which has no gaps between its rows and planes. */
otc_video_frame *otc_video_frame_new(enum otc_video_frame_format format, int width, int height,
                                     const uint8_t *buffer);
/* The same for YUV420P with rows that may be longer. */
otc_video_frame *otc_video_frame_new_from_planes(enum otc_video_frame_format format, int width,
                                                 int height, const uint8_t **planes,
                                                 const int *strides);
otc_video_frame *otc_video_frame_copy(const otc_video_frame *frame);
/* In another format: to and from YUV420P, and between those of 24 and 32 bits. */
otc_video_frame *otc_video_frame_convert(enum otc_video_frame_format format,
                                         const otc_video_frame *frame);
otc_status otc_video_frame_delete(otc_video_frame *frame);
enum otc_video_frame_format otc_video_frame_get_format(const otc_video_frame *frame);
int otc_video_frame_get_width(const otc_video_frame *frame);
int otc_video_frame_get_height(const otc_video_frame *frame);
size_t otc_video_frame_get_buffer_size(const otc_video_frame *frame);
const uint8_t *otc_video_frame_get_buffer(const otc_video_frame *frame);
int otc_video_frame_get_number_of_planes(const otc_video_frame *frame);
const uint8_t *otc_video_frame_get_plane_binary_data(const otc_video_frame *frame,
                                                     enum otc_video_frame_plane plane);
size_t otc_video_frame_get_plane_size(const otc_video_frame *frame,
                                      enum otc_video_frame_plane plane);
int otc_video_frame_get_plane_stride(const otc_video_frame *frame,
                                     enum otc_video_frame_plane plane);
int otc_video_frame_get_plane_width(const otc_video_frame *frame,
                                    enum otc_video_frame_plane plane);
int otc_video_frame_get_plane_height(const otc_video_frame *frame,
                                     enum otc_video_frame_plane plane);
/* Microseconds since the program's first image; set by who made it. */
int64_t otc_video_frame_get_timestamp(const otc_video_frame *frame);
otc_status otc_video_frame_set_timestamp(otc_video_frame *frame, int64_t timestamp);

struct otc_video_capturer_settings {
  enum otc_video_frame_format format;
  int width;
  int height;
  int fps;
  int expected_delay;
  otc_bool mirror_on_local_render;
};
/* Called when the publisher has its stream, in this order: init, get_capture_settings, start; then
 * stop, destroy. */
struct otc_video_capturer_callbacks {
  otc_bool (*init)(const otc_video_capturer *capturer, void *user_data);
  otc_bool (*destroy)(const otc_video_capturer *capturer, void *user_data);
  otc_bool (*start)(const otc_video_capturer *capturer, void *user_data);
  otc_bool (*stop)(const otc_video_capturer *capturer, void *user_data);
  otc_bool (*get_capture_settings)(const otc_video_capturer *capturer, void *user_data,
                                   struct otc_video_capturer_settings *settings);
  void *user_data;
  void *reserved;
};
/* Never waits: if the encoder is behind, the oldest image is left out. `rotation`: 0. */
otc_status otc_video_capturer_provide_frame(const otc_video_capturer *capturer, int rotation,
                                            const otc_video_frame *frame);

/* --- audio ------------------------------------------------------------------------------------ */

struct otc_audio_device_settings {
  /* 8,000, 12,000, 16,000, 24,000 or 48,000. */
  int sampling_rate;
  /* 1 or 2. */
  int number_of_channels;
};
/* Members that are NULL are left out. A device captures when somebody publishes audio, and renders
 * when somebody is subscribed to. */
struct otc_audio_device_callbacks {
  otc_bool (*init)(const otc_audio_device *device, void *user_data);
  otc_bool (*destroy)(const otc_audio_device *device, void *user_data);
  otc_bool (*init_capturer)(const otc_audio_device *device, void *user_data);
  otc_bool (*destroy_capturer)(const otc_audio_device *device, void *user_data);
  otc_bool (*start_capturer)(const otc_audio_device *device, void *user_data);
  otc_bool (*stop_capturer)(const otc_audio_device *device, void *user_data);
  otc_bool (*is_capturer_initialized)(const otc_audio_device *device, void *user_data);
  otc_bool (*is_capturer_started)(const otc_audio_device *device, void *user_data);
  int (*get_estimated_capture_delay)(const otc_audio_device *device, void *user_data);
  otc_bool (*init_renderer)(const otc_audio_device *device, void *user_data);
  otc_bool (*destroy_renderer)(const otc_audio_device *device, void *user_data);
  otc_bool (*start_renderer)(const otc_audio_device *device, void *user_data);
  otc_bool (*stop_renderer)(const otc_audio_device *device, void *user_data);
  otc_bool (*is_renderer_initialized)(const otc_audio_device *device, void *user_data);
  otc_bool (*is_renderer_started)(const otc_audio_device *device, void *user_data);
  int (*get_estimated_render_delay)(const otc_audio_device *device, void *user_data);
  otc_bool (*get_capture_settings)(const otc_audio_device *device, void *user_data,
                                   struct otc_audio_device_settings *settings);
  otc_bool (*get_render_settings)(const otc_audio_device *device, void *user_data,
                                  struct otc_audio_device_settings *settings);
  void *user_data;
  void *reserved;
};
/* One for the program, before it publishes or subscribes. NULL: none. */
otc_status otc_set_audio_device(const struct otc_audio_device_callbacks *callbacks);
/* `number_of_samples`: of each channel; channels are beside each other. */
otc_status otc_audio_device_write_capture_data(const int16_t *samples, size_t number_of_samples);
/* What is heard of all subscribers together. Gives how many samples of each channel were written:
 * all of them, with silence where nothing is heard; 0 for what is refused. */
size_t otc_audio_device_read_render_data(int16_t *samples, size_t number_of_samples);

/* --- publishers ------------------------------------------------------------------------------- */

struct otc_publisher_callbacks {
  void (*on_stream_created)(otc_publisher *publisher, void *user_data, const otc_stream *stream);
  void (*on_stream_destroyed)(otc_publisher *publisher, void *user_data, const otc_stream *stream);
  /* What the capturer provided, from its thread. */
  void (*on_render_frame)(otc_publisher *publisher, void *user_data, const otc_video_frame *frame);
  void (*on_audio_level_updated)(otc_publisher *publisher, void *user_data, float audio_level);
  void (*on_error)(otc_publisher *publisher, void *user_data, const char *error_string,
                   enum otc_publisher_error_code error);
  void *user_data;
  void *reserved;
};
/* `capturer`: NULL for a camera, which this library does not have: such a publisher is refused when
 * it is published, unless its settings say that it has no video. */
otc_publisher *otc_publisher_new(const char *name,
                                 const struct otc_video_capturer_callbacks *capturer,
                                 const struct otc_publisher_callbacks *callbacks);
otc_publisher *otc_publisher_new_with_settings(const struct otc_publisher_callbacks *callbacks,
                                               const otc_publisher_settings *settings);
/* Ends its stream, too. */
otc_status otc_publisher_delete(otc_publisher *publisher);
/* NULL while it has none. Belongs to the publisher. */
const otc_stream *otc_publisher_get_stream(const otc_publisher *publisher);
otc_session *otc_publisher_get_session(const otc_publisher *publisher);
otc_status otc_publisher_set_publish_audio(otc_publisher *publisher, otc_bool publish_audio);
otc_bool otc_publisher_get_publish_audio(const otc_publisher *publisher);
otc_status otc_publisher_set_publish_video(otc_publisher *publisher, otc_bool publish_video);
otc_bool otc_publisher_get_publish_video(const otc_publisher *publisher);

otc_publisher_settings *otc_publisher_settings_new(void);
otc_status otc_publisher_settings_delete(otc_publisher_settings *settings);
otc_status otc_publisher_settings_set_name(otc_publisher_settings *settings, const char *name);
otc_status otc_publisher_settings_set_video_capturer(
    otc_publisher_settings *settings, const struct otc_video_capturer_callbacks *capturer);
otc_status otc_publisher_settings_set_audio_track(otc_publisher_settings *settings,
                                                  otc_bool audio_track);
otc_status otc_publisher_settings_set_video_track(otc_publisher_settings *settings,
                                                  otc_bool video_track);

/* --- subscribers ------------------------------------------------------------------------------ */

enum otc_video_reason {
  OTC_VIDEO_REASON_PUBLISH_VIDEO = 1,
  OTC_VIDEO_REASON_SUBSCRIBE_TO_VIDEO = 2,
  OTC_VIDEO_REASON_QUALITY_CHANGED = 3
};
struct otc_subscriber_callbacks {
  void (*on_connected)(otc_subscriber *subscriber, void *user_data, const otc_stream *stream);
  void (*on_disconnected)(otc_subscriber *subscriber, void *user_data);
  void (*on_reconnected)(otc_subscriber *subscriber, void *user_data);
  /* YUV420P, from a thread of this subscriber. */
  void (*on_render_frame)(otc_subscriber *subscriber, void *user_data,
                          const otc_video_frame *frame);
  void (*on_video_disabled)(otc_subscriber *subscriber, void *user_data,
                            enum otc_video_reason reason);
  void (*on_video_enabled)(otc_subscriber *subscriber, void *user_data,
                           enum otc_video_reason reason);
  void (*on_error)(otc_subscriber *subscriber, void *user_data, const char *error_string,
                   enum otc_subscriber_error_code error);
  void *user_data;
  void *reserved;
};
otc_subscriber *otc_subscriber_new(const otc_stream *stream,
                                   const struct otc_subscriber_callbacks *callbacks);
otc_status otc_subscriber_delete(otc_subscriber *subscriber);
/* Belongs to the subscriber. */
const otc_stream *otc_subscriber_get_stream(const otc_subscriber *subscriber);
otc_session *otc_subscriber_get_session(const otc_subscriber *subscriber);
otc_status otc_subscriber_set_subscribe_to_audio(otc_subscriber *subscriber, otc_bool on);
otc_bool otc_subscriber_get_subscribe_to_audio(const otc_subscriber *subscriber);
otc_status otc_subscriber_set_subscribe_to_video(otc_subscriber *subscriber, otc_bool on);
otc_bool otc_subscriber_get_subscribe_to_video(const otc_subscriber *subscriber);

/* It opens again, after OTC_SUBSCRIBER_ENCRYPTION_SECRET_MISMATCH. */
struct otc_subscriber_encryption_callbacks {
  void (*on_encryption_secret_match)(otc_subscriber *subscriber, void *user_data);
  void *user_data;
  void *reserved;
};
otc_status otc_subscriber_set_encryption_callbacks(
    otc_subscriber *subscriber, const struct otc_subscriber_encryption_callbacks *callbacks);

/* --- sessions --------------------------------------------------------------------------------- */

struct otc_session_callbacks {
  void (*on_connected)(otc_session *session, void *user_data);
  void (*on_disconnected)(otc_session *session, void *user_data);
  void (*on_connection_created)(otc_session *session, void *user_data,
                                const otc_connection *connection);
  void (*on_connection_dropped)(otc_session *session, void *user_data,
                                const otc_connection *connection);
  void (*on_stream_received)(otc_session *session, void *user_data, const otc_stream *stream);
  void (*on_stream_dropped)(otc_session *session, void *user_data, const otc_stream *stream);
  void (*on_stream_has_audio_changed)(otc_session *session, void *user_data,
                                      const otc_stream *stream, otc_bool has_audio);
  void (*on_stream_has_video_changed)(otc_session *session, void *user_data,
                                      const otc_stream *stream, otc_bool has_video);
  void (*on_stream_video_dimensions_changed)(otc_session *session, void *user_data,
                                             const otc_stream *stream, int width, int height);
  void (*on_stream_video_type_changed)(otc_session *session, void *user_data,
                                       const otc_stream *stream,
                                       enum otc_stream_video_type video_type);
  void (*on_reconnection_started)(otc_session *session, void *user_data);
  void (*on_reconnected)(otc_session *session, void *user_data);
  /* Never called in an encrypted session. */
  void (*on_archive_started)(otc_session *session, void *user_data, const char *archive_id,
                             const char *name);
  void (*on_archive_stopped)(otc_session *session, void *user_data, const char *archive_id);
  /* `connection`: NULL for a signal of the application's server. */
  void (*on_signal_received)(otc_session *session, void *user_data, const char *type,
                             const char *signal, const otc_connection *connection);
  void (*on_error)(otc_session *session, void *user_data, const char *error_string,
                   enum otc_session_error_code error);
  void *user_data;
  void *reserved;
};

otc_session *otc_session_new(const char *api_key, const char *session_id,
                             const struct otc_session_callbacks *callbacks);
otc_session *otc_session_new_with_settings(const char *api_key, const char *session_id,
                                           const struct otc_session_callbacks *callbacks,
                                           const otc_session_settings *settings);
/* Leaves, too. */
otc_status otc_session_delete(otc_session *session);
/* Begins to join: on_connected follows, or on_error. After on_error a session may connect again. */
otc_status otc_session_connect(otc_session *session, const char *token);
otc_status otc_session_disconnect(otc_session *session);
otc_status otc_session_publish(otc_session *session, otc_publisher *publisher);
otc_status otc_session_unpublish(otc_session *session, otc_publisher *publisher);
otc_status otc_session_subscribe(otc_session *session, otc_subscriber *subscriber);
otc_status otc_session_unsubscribe(otc_session *session, otc_subscriber *subscriber);
/* UTF-8. While connected: others' media opens with it at once, and what is sent follows when
 * everybody is ready. */
otc_status otc_session_set_encryption_secret(otc_session *session, const char *secret);
/* The same, and older secrets are of no use at once. */
otc_status otc_session_replace_encryption_secret(otc_session *session, const char *secret);
/* What people read to each other; NULL where nothing is encrypted. To be given to
 * `otc_free_string`. */
char *otc_session_get_verification_code(const otc_session *session);
otc_status otc_session_send_signal(otc_session *session, const char *type, const char *signal);
otc_status otc_session_send_signal_to_connection(otc_session *session, const char *type,
                                                 const char *signal,
                                                 const otc_connection *connection);
const char *otc_session_get_id(const otc_session *session);
/* NULL before it is connected. Belongs to the session. */
const otc_connection *otc_session_get_connection(const otc_session *session);
struct otc_session_capabilities {
  otc_bool connect;
  otc_bool publish;
  otc_bool subscribe;
  otc_bool signal;
  otc_bool force_unpublish;
  otc_bool force_disconnect;
  otc_bool force_mute;
};
/* Nothing is permitted before it is connected. */
struct otc_session_capabilities otc_session_get_capabilities(const otc_session *session);
void *otc_session_get_user_data(const otc_session *session);

otc_session_settings *otc_session_settings_new(void);
otc_status otc_session_settings_delete(otc_session_settings *settings);
otc_status otc_session_settings_set_proxy_url(otc_session_settings *settings, const char *url);
/* Certificates (PEM) that are trusted instead of the system's. */
otc_status otc_session_settings_set_ca_file(otc_session_settings *settings, const char *path);
otc_status otc_session_settings_set_connection_events_suppressed(otc_session_settings *settings,
                                                                 otc_bool suppressed);

#ifdef __cplusplus
}
#endif
#endif

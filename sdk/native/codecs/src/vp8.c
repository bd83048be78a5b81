/* One VP8 encoder, one decoder. libvpx checks the version of its structures by macros and large
 * structures that differ between its versions: the compiler reads them here, so that Rust needs no
 * copy of them. Nothing here keeps a pointer that it was given. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <vpx/vp8cx.h>
#include <vpx/vp8dx.h>
#include <vpx/vpx_decoder.h>
#include <vpx/vpx_encoder.h>

struct sealroute_vp8_encoder {
  vpx_codec_ctx_t codec;
  vpx_codec_enc_cfg_t config;
};

struct sealroute_vp8_decoder {
  vpx_codec_ctx_t codec;
};

/* For talks: no lag, a constant rate, a key frame only where one is asked for. */
struct sealroute_vp8_encoder *sealroute_vp8_encoder_new(uint32_t width, uint32_t height,
                                                        uint32_t kbps) {
  struct sealroute_vp8_encoder *encoder = calloc(1, sizeof *encoder);
  if (encoder == NULL)
    return NULL;
  vpx_codec_enc_cfg_t *config = &encoder->config;
  if (vpx_codec_enc_config_default(vpx_codec_vp8_cx(), config, 0) != VPX_CODEC_OK) {
    free(encoder);
    return NULL;
  }
  config->g_w = width;
  config->g_h = height;
  config->g_timebase.num = 1;
  config->g_timebase.den = 90000;
  config->g_threads = 1;
  config->g_lag_in_frames = 0;
  config->g_error_resilient = VPX_ERROR_RESILIENT_DEFAULT;
  config->rc_end_usage = VPX_CBR;
  config->rc_target_bitrate = kbps;
  config->rc_min_quantizer = 2;
  config->rc_max_quantizer = 56;
  config->rc_dropframe_thresh = 0;
  config->kf_mode = VPX_KF_DISABLED;
  if (vpx_codec_enc_init(&encoder->codec, vpx_codec_vp8_cx(), config, 0) != VPX_CODEC_OK) {
    free(encoder);
    return NULL;
  }
  /* Speed before size, still images get better with time. */
  vpx_codec_control(&encoder->codec, VP8E_SET_CPUUSED, -8);
  vpx_codec_control(&encoder->codec, VP8E_SET_STATIC_THRESHOLD, 1);
  return encoder;
}

void sealroute_vp8_encoder_delete(struct sealroute_vp8_encoder *encoder) {
  vpx_codec_destroy(&encoder->codec);
  free(encoder);
}

/* `pixels`: I420 without gaps. The frame is the encoder's, until it is called again.
 * Gives 0 for a frame, 1 if there is none, 2 for a fault. */
int sealroute_vp8_encode(struct sealroute_vp8_encoder *encoder, const uint8_t *pixels,
                         int64_t time, int wants_key_frame, const uint8_t **frame, size_t *length,
                         int *is_key_frame) {
  vpx_image_t image;
  memset(&image, 0, sizeof image);
  if (vpx_img_wrap(&image, VPX_IMG_FMT_I420, encoder->config.g_w, encoder->config.g_h, 1,
                   (unsigned char *)pixels) == NULL)
    return 2;
  /* Without gaps, also where width or height is odd. */
  unsigned half = (image.d_w + 1) / 2, high = (image.d_h + 1) / 2;
  image.planes[VPX_PLANE_U] = image.planes[VPX_PLANE_Y] + (size_t)image.d_w * image.d_h;
  image.planes[VPX_PLANE_V] = image.planes[VPX_PLANE_U] + (size_t)half * high;
  image.stride[VPX_PLANE_Y] = (int)image.d_w;
  image.stride[VPX_PLANE_U] = image.stride[VPX_PLANE_V] = (int)half;
  vpx_enc_frame_flags_t flags = wants_key_frame ? VPX_EFLAG_FORCE_KF : 0;
  if (vpx_codec_encode(&encoder->codec, &image, time, 3000, flags, VPX_DL_REALTIME) !=
      VPX_CODEC_OK)
    return 2;
  vpx_codec_iter_t at = NULL;
  const vpx_codec_cx_pkt_t *packet;
  while ((packet = vpx_codec_get_cx_data(&encoder->codec, &at)) != NULL) {
    if (packet->kind != VPX_CODEC_CX_FRAME_PKT)
      continue;
    *frame = packet->data.frame.buf;
    *length = packet->data.frame.sz;
    *is_key_frame = (packet->data.frame.flags & VPX_FRAME_IS_KEY) != 0;
    return 0;
  }
  return 1;
}

struct sealroute_vp8_decoder *sealroute_vp8_decoder_new(void) {
  struct sealroute_vp8_decoder *decoder = calloc(1, sizeof *decoder);
  if (decoder == NULL)
    return NULL;
  if (vpx_codec_dec_init(&decoder->codec, vpx_codec_vp8_dx(), NULL, 0) != VPX_CODEC_OK) {
    free(decoder);
    return NULL;
  }
  return decoder;
}

void sealroute_vp8_decoder_delete(struct sealroute_vp8_decoder *decoder) {
  vpx_codec_destroy(&decoder->codec);
  free(decoder);
}

/* Planes and strides are the decoder's, until it is called again.
 * Gives 0 for an image, 1 if there is none, 2 for a fault. */
int sealroute_vp8_decode(struct sealroute_vp8_decoder *decoder, const uint8_t *frame,
                         uint32_t length, const uint8_t *planes[3], uint32_t strides[3],
                         uint32_t *width, uint32_t *height) {
  if (vpx_codec_decode(&decoder->codec, frame, length, NULL, 0) != VPX_CODEC_OK)
    return 2;
  vpx_codec_iter_t at = NULL;
  const vpx_image_t *image = vpx_codec_get_frame(&decoder->codec, &at);
  if (image == NULL)
    return 1;
  if (image->fmt != VPX_IMG_FMT_I420 && image->fmt != VPX_IMG_FMT_YV12)
    return 2;
  for (int plane = 0; plane < 3; plane++) {
    if (image->stride[plane] <= 0)
      return 2;
    planes[plane] = image->planes[plane];
    strides[plane] = (uint32_t)image->stride[plane];
  }
  *width = image->d_w;
  *height = image->d_h;
  return 0;
}

/** The filters that come with the SDK, and where their parts are loaded from. */
import { otError } from '../errors';
import { filterUrl } from '../server-url';
import type { MediaProcessorConnector } from './processing';

/** Blurs what is behind people; `blurStrength` is `low` without another word. */
export interface BackgroundBlurFilter {
  /** Which filter. */
  type: 'backgroundBlur';
  /** How much. */
  blurStrength?: 'low' | 'high';
}

/** Shows an image behind people; its server has to allow the page to read it (CORS). */
export interface BackgroundReplacementFilter {
  /** Which filter. */
  type: 'backgroundReplacement';
  /** Where the image is. */
  backgroundImgUrl: string;
}

/** Takes noise out of speech. */
export interface AdvancedNoiseSuppressionFilter {
  /** Which filter. */
  type: 'advancedNoiseSuppression';
}

/** What `Publisher.applyVideoFilter` takes. */
export type VideoFilter = BackgroundBlurFilter | BackgroundReplacementFilter;
/** What `Publisher.applyAudioFilter` takes. */
export type AudioFilter = AdvancedNoiseSuppressionFilter;

const VIDEO_FILTERS: readonly string[] = ['backgroundBlur', 'backgroundReplacement'];
const AUDIO_FILTERS: readonly string[] = ['advancedNoiseSuppression'];

interface FilterModule {
  connectorFor(filter: VideoFilter | AudioFilter, folder: string): Promise<MediaProcessorConnector>;
}

/** Throws `OT_INVALID_PARAMETER` for anything else than a filter of this kind. */
export function requireFilter(kind: 'audio' | 'video', filter: VideoFilter | AudioFilter): void {
  const { type, ...rest } = (filter ?? {}) as Partial<BackgroundReplacementFilter>;
  const known = kind === 'video' ? VIDEO_FILTERS : AUDIO_FILTERS;
  if (type === undefined || !known.includes(type)) {
    throw otError('OT_INVALID_PARAMETER', `There is no such ${kind} filter`);
  }
  if (type === 'backgroundReplacement' && !rest.backgroundImgUrl) {
    throw otError('OT_INVALID_PARAMETER', 'The filter needs backgroundImgUrl');
  }
}

/**
 * Loads the filter when it is first used: it is larger than the SDK, and few pages need it. It
 * comes from where the SDK came from, not from the server of the sessions, which is not trusted. Rejects with `OT_NOT_SUPPORTED` where it cannot be had or this browser cannot run it.
 */
export async function loadFilter(
  filter: VideoFilter | AudioFilter,
): Promise<MediaProcessorConnector> {
  try {
    const folder = filterUrl();
    const module = (await import(
      /* webpackIgnore: true */ /* @vite-ignore */ `${folder}filters.mjs`
    )) as FilterModule;
    return await module.connectorFor(filter, folder);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw otError('OT_NOT_SUPPORTED', `The filter ${filter.type} cannot run here: ${why}`);
  }
}

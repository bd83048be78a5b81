/** Entry of dist/filters/filters.mjs, which the SDK loads when a page applies its first filter. */
import type { AudioFilter, VideoFilter } from '../media/filters';
import type { MediaProcessorConnector } from '../media/processing';
import { BackgroundConnector } from './background';
import { NoiseConnector } from './noise';
import { backdropOf } from './painter';

/** `folder`: where the filters' other files are, with a slash at its end. */
export async function connectorFor(
  filter: VideoFilter | AudioFilter,
  folder: string,
): Promise<MediaProcessorConnector> {
  if (filter.type === 'advancedNoiseSuppression') return NoiseConnector.load(folder);
  return BackgroundConnector.load(folder, await backdropOf(filter));
}

import * as z from 'zod';

/** What views are made of. */

export const name = z.string().min(1).max(128);
export const ageMs = z.number().min(0);
/** Sentences for people; the engine writes them, the CLI prints them as they are. */
export const sentence = z.string().max(1024);

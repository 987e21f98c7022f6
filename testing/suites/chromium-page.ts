import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fixturePath } from '@blip2/testing';
import { type Browser, chromium, type Page } from 'playwright-core';
import { build } from 'vite';
import type { PageUnderTest } from '../browser/src/main.ts';
import { serveFolders, type StaticServer } from './static-server.ts';
import { ROOT } from './workspace.ts';

/** Where Chromium usually is; `BLIP2_CHROMIUM` names another. */
export const CHROMIUM: string | undefined = [
  process.env['BLIP2_CHROMIUM'],
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
].find((path) => path !== undefined && existsSync(path));

/** A host name of this machine that is no secure context, unlike 127.0.0.1. */
const INSECURE_HOST = 'insecure.test';

/** A software GPU, so that WebGPU is there on every machine. */
const FLAGS = [
  '--no-sandbox',
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  `--host-resolver-rules=MAP ${INSECURE_HOST} 127.0.0.1`,
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** A page in Chromium, with the functions of `testing/browser/src/main.ts`. */
export class ChromiumPage {
  readonly server: StaticServer;
  /** Errors that nobody caught or that were logged. */
  readonly problems: string[] = [];
  readonly #browser: Browser;
  readonly #folder: string;
  #page!: Page;

  static async open(): Promise<ChromiumPage> {
    const folder = mkdtempSync(join(tmpdir(), 'blip2-page-'));
    await build({ configFile: join(ROOT, 'testing/browser/vite.config.ts'), build: { outDir: folder, emptyOutDir: true } });
    const folders = { '/fixtures/': fixturePath('models'), '/isolated/': folder, '/': folder };
    const server = await serveFolders(folders, { isolated: ['/isolated/'] });
    const page = new ChromiumPage(server, await chromium.launch({ executablePath: CHROMIUM!, args: FLAGS }), folder);
    await page.goto();
    return page;
  }

  constructor(server: StaticServer, browser: Browser, folder: string) {
    this.server = server;
    this.#browser = browser;
    this.#folder = folder;
  }

  /**
   * Loads the page anew.
   *
   * @param secure - An insecure page has no WebGPU, in any browser.
   * @param isolated - An isolated page has threads that share memory.
   */
  async goto({
    secure = true,
    isolated = false,
  }: { readonly secure?: boolean; readonly isolated?: boolean } = {}): Promise<void> {
    await this.#page?.close();
    const page = await this.#browser.newPage();
    page.on('pageerror', (error) => this.problems.push(String(error)));
    page.on('console', (message) => {
      const isMissing = /favicon|404/.test(message.text() + message.location().url);
      if (message.type() === 'error' && !isMissing) this.problems.push(message.text());
    });
    const host = secure ? this.server.url : this.server.url.replace('127.0.0.1', INSECURE_HOST);
    await page.goto(`${host}/${isolated ? 'isolated/' : ''}`);
    await page.waitForFunction(() => 'blip2' in window);
    this.#page = page;
  }

  /** Calls a function of the page under test. */
  async call<Name extends keyof PageUnderTest>(
    name: Name,
    ...args: Parameters<PageUnderTest[Name]>
  ): Promise<Awaited<ReturnType<PageUnderTest[Name]>>> {
    const inPage = ([key, values]: [keyof PageUnderTest, unknown[]]): unknown =>
      (window.blip2[key] as (...values: unknown[]) => unknown)(...values);
    return (await this.#page.evaluate(inPage, [name, args] as [keyof PageUnderTest, unknown[]])) as Awaited<
      ReturnType<PageUnderTest[Name]>
    >;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close();
    await this.server[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
